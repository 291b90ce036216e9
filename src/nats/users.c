/* SPDX-License-Identifier: MIT */
/*
 * The users file: JSON with the words that nats-server's own configuration uses.
 *
 *     {"token": "...", "no_auth_user": "guest", "default_permissions": PERMISSIONS,
 *      "users": [{"user": "a", "password": "...", "permissions": PERMISSIONS},
 *                {"nkey": "U...", "permissions": PERMISSIONS}]}
 *
 *     PERMISSIONS: {"publish": SUBJECTS, "subscribe": SUBJECTS, "allow_responses": RESPONSES}
 *     SUBJECTS: "a.>" or ["a.>", "b"] or {"allow": ..., "deny": ...}; of subscriptions also "a.> q"
 *     RESPONSES: true or {"max": 5, "expires": "1m"}
 *
 * Everything that is not known is an error: a permission that was misspelt would be none.
 */
#include "live/live.h"
#include "nats/private.h"
#include "nats/users.h"

#include <jansson.h>
#include <stdlib.h>

#define USERS_BYTES_MAX MiB(64)
#define RESPONSES_DEFAULT 1
#define RESPONSE_MS_DEFAULT 120000

struct reader {
    struct nats_users *users;
    const struct nats_permissions *standard;
};

static char *copy_text(struct reader *r, const json_t *text)
{
    struct bytes b = arena_print(&r->users->arena, "%s", json_string_value(text));
    return (char *)(uintptr_t)b.at;
}

static enum outcome known(const json_t *object, const char *what, const char *const *names)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return fail(OUT_INVALID, "%s is no object", what);
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const char *const *name = names;
        while (*name != NULL && strcmp(*name, key) != 0)
            name++;
        if (*name == NULL)
            return fail(OUT_INVALID, "%s has an unknown field \"%s\"", what, key);
    }
    return OUT_OK;
}

/* ---- permissions ---- */

static enum outcome read_rule(struct reader *r, const json_t *text, struct nats_rule *rule)
{
    if (!json_is_string(text))
        return fail(OUT_INVALID, "a subject is no string");
    char *copy = copy_text(r, text);
    if (copy == NULL)
        return fail(OUT_NO_MEMORY, "the users");
    size_t size = strcspn(copy, " \t");
    const char *queue = copy + size + strspn(copy + size, " \t");
    rule->subject = bytes_view(copy, size);
    rule->queue = bytes_view(queue, strcspn(queue, " \t"));
    if (live_subject_kind(rule->subject) == LIVE_BAD || queue[rule->queue.size] != '\0')
        return fail(OUT_INVALID, "\"%s\" is no subject", copy);
    return OUT_OK;
}

static enum outcome read_rules(struct reader *r, const json_t *list, struct nats_rules *rules)
{
    if (list == NULL || json_is_null(list))
        return OUT_OK;
    bool array = json_is_array(list);
    size_t count = array ? json_array_size(list) : 1;
    struct nats_rule *all = arena_array(&r->users->arena, struct nats_rule, count);
    if (all == NULL)
        return fail(OUT_NO_MEMORY, "the users");
    *rules = (struct nats_rules){.list = all, .count = count, .given = true};
    for (size_t i = 0; i < count; i++) {
        enum outcome o = read_rule(r, array ? json_array_get(list, i) : list, &all[i]);
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}

static enum outcome read_subjects(struct reader *r, const json_t *v, const char *what,
                                  struct nats_rules *allow, struct nats_rules *deny)
{
    static const char *const names[] = {"allow", "deny", NULL};
    if (v == NULL || !json_is_object(v))
        return read_rules(r, v, allow);
    enum outcome o = known(v, what, names);
    if (o == OUT_OK)
        o = read_rules(r, json_object_get(v, "allow"), allow);
    return o == OUT_OK ? read_rules(r, json_object_get(v, "deny"), deny) : o;
}

static enum outcome read_responses(const json_t *v, struct nats_permissions *p)
{
    static const char *const names[] = {"max", "expires", NULL};
    if (v == NULL || json_is_false(v) || json_is_null(v))
        return OUT_OK;
    p->replies_max = RESPONSES_DEFAULT;
    p->replies_ms = RESPONSE_MS_DEFAULT;
    if (!p->publish_allow.given)
        p->publish_allow.given = true; /* answers and nothing else */
    if (json_is_true(v))
        return OUT_OK;
    enum outcome o = known(v, "allow_responses", names);
    const json_t *max = json_object_get(v, "max"), *expires = json_object_get(v, "expires");
    if (o != OUT_OK)
        return o;
    if (max != NULL && !json_is_integer(max))
        return fail(OUT_INVALID, "allow_responses: max is no number");
    if (max != NULL && json_integer_value(max) != 0)
        p->replies_max = json_integer_value(max);
    if (expires != NULL && (!json_is_string(expires) ||
                            !nats_duration(bytes_of(json_string_value(expires)), &p->replies_ms)))
        return fail(OUT_INVALID, "allow_responses: expires is no duration like \"2m\"");
    return OUT_OK;
}

static enum outcome read_permissions(struct reader *r, const json_t *v,
                                     const struct nats_permissions **permissions)
{
    static const char *const names[] = {"publish", "subscribe", "allow_responses", NULL};
    *permissions = r->standard;
    if (v == NULL)
        return OUT_OK;
    struct nats_permissions *p = arena_new(&r->users->arena, struct nats_permissions);
    if (p == NULL)
        return fail(OUT_NO_MEMORY, "the users");
    *permissions = p;
    enum outcome o = known(v, "permissions", names);
    if (o == OUT_OK)
        o = read_subjects(r, json_object_get(v, "publish"), "publish", &p->publish_allow,
                          &p->publish_deny);
    if (o == OUT_OK)
        o = read_subjects(r, json_object_get(v, "subscribe"), "subscribe", &p->subscribe_allow,
                          &p->subscribe_deny);
    return o == OUT_OK ? read_responses(json_object_get(v, "allow_responses"), p) : o;
}

/* ---- users ---- */

static enum outcome read_user(struct reader *r, const json_t *v, struct nats_user *user)
{
    static const char *const names[] = {"user", "password", "nkey", "permissions", NULL};
    const json_t *name = json_object_get(v, "user"), *nkey = json_object_get(v, "nkey");
    const json_t *password = json_object_get(v, "password");
    uint8_t key[NATS_KEY_BYTES];
    enum outcome o = known(v, "a user", names);
    if (o != OUT_OK)
        return o;
    if (json_is_string(nkey) && name == NULL && password == NULL) {
        user->nkey = r->users->nkeys = true;
        user->name = copy_text(r, nkey);
        if (user->name != NULL && !nats_key_decode(user->name, key))
            return fail(OUT_INVALID, "\"%s\" is no user's public nkey", user->name);
    } else if (json_is_string(name) && json_is_string(password) && nkey == NULL &&
               json_string_length(name) > 0) {
        user->name = copy_text(r, name);
        user->password = copy_text(r, password);
    } else {
        return fail(OUT_INVALID, "a user has \"user\" and \"password\", or \"nkey\"");
    }
    if (r->users->arena.failed)
        return fail(OUT_NO_MEMORY, "the users");
    return read_permissions(r, json_object_get(v, "permissions"), &user->permissions);
}

static enum outcome read_list(struct reader *r, const json_t *list)
{
    struct nats_users *u = r->users;
    if (list == NULL)
        return OUT_OK;
    if (!json_is_array(list))
        return fail(OUT_INVALID, "users is no list");
    u->list = arena_array(&u->arena, struct nats_user, json_array_size(list));
    if (u->list == NULL)
        return fail(OUT_NO_MEMORY, "the users");
    for (; u->count < json_array_size(list); u->count++) {
        enum outcome o = read_user(r, json_array_get(list, u->count), &u->list[u->count]);
        if (o != OUT_OK)
            return o;
        for (size_t i = 0; i < u->count; i++) {
            if (strcmp(u->list[i].name, u->list[u->count].name) == 0)
                return fail(OUT_INVALID, "user \"%s\" is there twice", u->list[i].name);
        }
    }
    return OUT_OK;
}

static enum outcome read_nobody(struct nats_users *u, const json_t *v)
{
    if (v == NULL)
        return OUT_OK;
    for (size_t i = 0; i < u->count && json_is_string(v); i++) {
        if (strcmp(u->list[i].name, json_string_value(v)) == 0) {
            u->nobody = &u->list[i];
            return OUT_OK;
        }
    }
    return fail(OUT_INVALID, "no_auth_user is none of the users");
}

static enum outcome read_all(struct reader *r, const json_t *v)
{
    static const char *const names[] = {"token", "no_auth_user", "default_permissions", "users",
                                        NULL};
    static char nameless[] = "";
    const json_t *token = json_object_get(v, "token");
    enum outcome o = known(v, "the file", names);
    if (o == OUT_OK && token != NULL && (!json_is_string(token) || json_string_length(token) == 0))
        o = fail(OUT_INVALID, "token is no string");
    if (o == OUT_OK && json_object_get(v, "default_permissions") != NULL)
        o = read_permissions(r, json_object_get(v, "default_permissions"), &r->standard);
    if (o == OUT_OK)
        o = read_list(r, json_object_get(v, "users"));
    if (o == OUT_OK)
        o = read_nobody(r->users, json_object_get(v, "no_auth_user"));
    if (o == OUT_OK && token == NULL && r->users->count == 0)
        o = fail(OUT_INVALID, "there is neither a token nor a user: nobody could connect");
    if (o == OUT_OK && token != NULL)
        r->users->token = (struct nats_user){.name = nameless, .password = copy_text(r, token),
                                             .permissions = r->standard};
    return o == OUT_OK && r->users->arena.failed ? fail(OUT_NO_MEMORY, "the users") : o;
}

static enum outcome finish(json_t *v, const json_error_t *error, struct nats_users **users)
{
    struct nats_users *u = calloc(1, sizeof *u);
    struct reader r = {.users = u};
    enum outcome o;
    if (u == NULL) {
        json_decref(v);
        return fail(OUT_NO_MEMORY, "the users");
    }
    arena_init(&u->arena, USERS_BYTES_MAX);
    if (v == NULL)
        o = fail(OUT_INVALID, "line %d: %s", error->line, error->text);
    else
        o = read_all(&r, v);
    json_decref(v);
    if (o != OUT_OK) {
        nats_users_free(u);
        return o;
    }
    *users = u;
    return OUT_OK;
}

enum outcome nats_users_parse(struct bytes json, struct nats_users **users)
{
    json_error_t error;
    json_t *v = json_loadb((const char *)json.at, json.size, JSON_REJECT_DUPLICATES, &error);
    return finish(v, &error, users);
}

enum outcome nats_users_load(const char *path, struct nats_users **users)
{
    json_error_t error;
    json_t *v = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    enum outcome o = finish(v, &error, users);
    return o == OUT_OK ? o : outcome_add(o, "users file %s", path);
}

void nats_users_free(struct nats_users *users)
{
    if (users == NULL)
        return;
    arena_fini(&users->arena);
    free(users);
}
