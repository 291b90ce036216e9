/* SPDX-License-Identifier: MIT */
/* Requests: their replies piece by piece, and their ways between threads. */
#include "broker/request.h"

#include "base/check.h"

static void (*completer)(struct request *r, enum verdict v);

void request_completer(void (*complete)(struct request *r, enum verdict v))
{
    completer = complete;
}

void request_complete(struct request *r, enum verdict v)
{
    check(v == REQ_DONE || v == REQ_NO_REPLY || v == REQ_CLOSE);
    completer(r, v);
}

static struct reply_piece *add(struct request *r, size_t size)
{
    struct reply_piece *p = arena_new(&r->arena, struct reply_piece);
    if (p == NULL)
        return NULL;
    p->size = size;
    if (r->reply == NULL)
        r->reply_end = &r->reply;
    *r->reply_end = p;
    r->reply_end = &p->next;
    return p;
}

bool request_reply_bytes(struct request *r, struct bytes piece)
{
    if (piece.size == 0)
        return true;
    struct reply_piece *p = add(r, piece.size);
    if (p == NULL)
        return false;
    p->at = piece.at;
    return true;
}

bool request_reply_held(struct request *r, struct bytes piece, void (*release)(void *context),
                        void *context)
{
    struct reply_piece *p = add(r, piece.size);
    if (p == NULL)
        return false;
    p->at = piece.at;
    p->release = release;
    p->context = context;
    return true;
}

bool request_reply_file(struct request *r, int file, uint64_t position, size_t size,
                        void (*release)(void *context), void *context)
{
    struct reply_piece *p = add(r, size);
    if (p == NULL)
        return false;
    p->file = file;
    p->position = position;
    p->release = release;
    p->context = context;
    return true;
}

static void deliver(struct mail *mail)
{
    struct request *r = container_of(mail, struct request, mail);
    r->then(r);
}

void request_send(struct request *r, struct shard *to, void (*work)(struct request *))
{
    r->then = work;
    r->mail.deliver = deliver;
    shard_post(to, &r->mail);
}

void request_return(struct request *r, void (*then)(struct request *))
{
    request_send(r, r->home, then);
}
