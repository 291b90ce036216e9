/* SPDX-License-Identifier: MIT */
/*
 * The thread that checks hashed passwords. A check goes there as mail and comes back to the
 * reactor of its session as mail; the session may be gone by then. What is under way is bounded by
 * one for each connection that isn't through yet.
 */
#include "nats/check.h"

#include <stdlib.h>

struct nats_checker {
    struct mailbox mailbox;
    struct os_thread *thread;
    struct mail last;
    _Atomic bool stopping;  /* what still waits is not checked any more */
    bool over;              /* the thread's */
};

struct nats_check {
    struct mail mail;
    struct nats *nats;
    struct nats_shard *home;
    struct nats_session *session; /* home thread; NULL: it is gone */
    json_t *json;
    struct nats_asked asked;
    const struct nats_user *user; /* the answer */
};

static void check_free(struct nats_check *c)
{
    json_decref(c->json);
    free(c);
}

/* ---- the thread ---- */

static void run(void *context)
{
    struct nats_checker *k = context;
    while (!k->over) {
        mailbox_wait(&k->mailbox, -1);
        while (!k->over && mailbox_deliver(&k->mailbox, 1) > 0)
            ;
    }
}

static void end(struct mail *mail)
{
    container_of(mail, struct nats_checker, last)->over = true;
}

/* ---- back on the session's reactor ---- */

static void answered(struct mail *mail)
{
    struct nats_check *c = container_of(mail, struct nats_check, mail);
    struct nats_session *s = c->session;
    if (s != NULL) {
        s->check = NULL;
        if (!s->closing)
            nats_connect_with(s, &c->asked, c->user);
        if (!s->closing)
            link_resume(s->link);
    }
    check_free(c);
}

static void judge(struct mail *mail)
{
    struct nats_check *c = container_of(mail, struct nats_check, mail);
    if (!atomic_load(&c->nats->checker->stopping))
        c->user = nats_authenticate(c->nats->users, &c->asked.claim);
    c->mail.deliver = answered;
    shard_post(c->home->shard, &c->mail);
}

bool nats_check_begin(struct nats_session *s, json_t *json, const struct nats_asked *asked)
{
    struct nats_check *c = calloc(1, sizeof *c);
    if (c == NULL)
        return false;
    *c = (struct nats_check){.mail.deliver = judge, .nats = s->home->nats, .home = s->home,
                             .session = s, .json = json_incref(json), .asked = *asked};
    s->check = c;
    link_pause(s->link);
    mailbox_post(&c->nats->checker->mailbox, &c->mail);
    return true;
}

void nats_check_forget(struct nats_session *s)
{
    if (s->check != NULL)
        s->check->session = NULL;
    s->check = NULL;
}

/* ---- life ---- */

enum outcome nats_checker_start(struct nats *n)
{
    if (n->users == NULL || !nats_users_hashed(n->users))
        return OUT_OK;
    struct nats_checker *k = calloc(1, sizeof *k);
    if (k == NULL)
        return fail(OUT_NO_MEMORY, "the thread for passwords");
    enum outcome o = mailbox_open(&k->mailbox);
    if (o != OUT_OK) {
        free(k);
        return o;
    }
    o = os_thread_start("passwords", run, k, &k->thread);
    if (o != OUT_OK) {
        mailbox_close(&k->mailbox);
        free(k);
        return o;
    }
    n->checker = k;
    return OUT_OK;
}

void nats_checker_stop(struct nats *n)
{
    struct nats_checker *k = n->checker;
    if (k == NULL)
        return;
    atomic_store(&k->stopping, true);
    k->last.deliver = end;
    mailbox_post(&k->mailbox, &k->last);
    os_thread_join(&k->thread);
    mailbox_close(&k->mailbox);
    free(k);
    n->checker = NULL;
}
