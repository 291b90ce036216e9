/* SPDX-License-Identifier: MIT */
/* Who a client is and what it may do. Lists of subjects are short: they are looked through. */
#include "nats/auth.h"

#include "live/live.h"
#include "nats/users.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <stdlib.h>

bool nats_users_nkeys(const struct nats_users *users) { return users->nkeys; }

const struct nats_user *nats_users_nobody(const struct nats_users *users)
{
    return users->nobody;
}

/* ---- who ---- */

static bool same_text(const char *a, const char *b)
{
    size_t size = strlen(a);
    return strlen(b) == size && CRYPTO_memcmp(a, b, size) == 0;
}

static bool is_bcrypt(const char *text)
{
    return strlen(text) == 60 && text[0] == '$' && text[1] == '2' &&
           strchr("abxy", text[2]) != NULL && text[3] == '$';
}

static bool password_fits(const char *stored, const char *given)
{
    if (stored == NULL || given == NULL)
        return false;
    if (!is_bcrypt(stored))
        return same_text(stored, given);
    struct crypt_data *work = calloc(1, sizeof *work);
    /* Not crypt_r: the address sanitizer has one too, and libcrypt would not be linked for it. */
    const char *hash = work == NULL ? NULL : crypt_rn(given, stored, work, (int)sizeof *work);
    bool fits = hash != NULL && same_text(stored, hash);
    free(work);
    return fits;
}

static const struct nats_user *find(const struct nats_users *users, const char *name, bool nkey)
{
    for (size_t i = 0; i < users->count; i++) {
        if (users->list[i].nkey == nkey && strcmp(users->list[i].name, name) == 0)
            return &users->list[i];
    }
    return NULL;
}

static bool said(const char *text) { return text != NULL && text[0] != '\0'; }

/* The password that a claim is measured by, NULL: none. */
static const char *measure(const struct nats_users *users, const struct nats_claim *claim)
{
    if (said(claim->nkey))
        return NULL;
    if (!said(claim->user))
        return said(claim->token) ? users->token.password : NULL;
    const struct nats_user *user = find(users, claim->user, false);
    return user == NULL ? NULL : user->password;
}

bool nats_authenticate_slow(const struct nats_users *users, const struct nats_claim *claim)
{
    const char *password = measure(users, claim);
    return password != NULL && is_bcrypt(password);
}

bool nats_users_hashed(const struct nats_users *users)
{
    bool hashed = users->token.password != NULL && is_bcrypt(users->token.password);
    for (size_t i = 0; i < users->count && !hashed; i++)
        hashed = users->list[i].password != NULL && is_bcrypt(users->list[i].password);
    return hashed;
}

const struct nats_user *nats_authenticate(const struct nats_users *users,
                                          const struct nats_claim *claim)
{
    uint8_t key[NATS_KEY_BYTES];
    const struct nats_user *user;
    if (said(claim->nkey)) {
        user = find(users, claim->nkey, true);
        bool signs = user != NULL && said(claim->signature) &&
                     nats_key_decode(user->name, key) &&
                     nats_key_verify(key, claim->nonce, claim->signature);
        return signs ? user : NULL;
    }
    if (said(claim->user)) {
        user = find(users, claim->user, false);
        return user != NULL && password_fits(user->password, claim->password) ? user : NULL;
    }
    if (said(claim->token))
        return password_fits(users->token.password, claim->token) ? &users->token : NULL;
    return users->nobody;
}

/* ---- what ---- */

static bool matched(const struct nats_rules *r, struct bytes subject)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->list[i].queue.size == 0 && live_matches(r->list[i].subject, subject))
            return true;
    }
    return false;
}

bool nats_may_publish(const struct nats_permissions *p, struct bytes subject)
{
    if (p == NULL)
        return true;
    if (p->publish_allow.given && !matched(&p->publish_allow, subject))
        return false;
    return !matched(&p->publish_deny, subject);
}

/* What the rules that cover a pattern say: of those without a queue; of those with one, whether it
 * is this queue. */
struct covered {
    bool plain, queues, this_queue;
};

static struct covered cover(const struct nats_rules *r, struct bytes subject, struct bytes queue)
{
    struct covered c = {0};
    for (size_t i = 0; i < r->count; i++) {
        const struct nats_rule *rule = &r->list[i];
        if (!live_covers(rule->subject, subject))
            continue;
        if (rule->queue.size == 0) {
            c.plain = true;
        } else {
            c.queues = true;
            c.this_queue |= queue.size > 0 && live_matches(rule->queue, queue);
        }
    }
    return c;
}

/* A rule with a queue is about members of that queue alone; where there is one, it decides for
 * members of queues. */
bool nats_may_subscribe(const struct nats_permissions *p, struct bytes subject, struct bytes queue)
{
    if (p == NULL)
        return true;
    if (p->subscribe_allow.given) {
        struct covered c = cover(&p->subscribe_allow, subject, queue);
        bool allowed = queue.size > 0 && c.queues ? c.this_queue : c.plain;
        if (!allowed)
            return false;
    }
    struct covered c = cover(&p->subscribe_deny, subject, queue);
    return !c.plain && !c.this_queue;
}

bool nats_may_partly(const struct nats_permissions *p, struct bytes pattern)
{
    if (p == NULL)
        return false;
    for (size_t i = 0; i < p->subscribe_deny.count; i++) {
        const struct nats_rule *rule = &p->subscribe_deny.list[i];
        if (rule->queue.size == 0 && live_overlaps(rule->subject, pattern))
            return true;
    }
    return false;
}

bool nats_may_receive(const struct nats_permissions *p, struct bytes subject)
{
    return p == NULL || !matched(&p->subscribe_deny, subject);
}
