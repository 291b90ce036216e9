/* SPDX-License-Identifier: MIT */
/* See attempts.h. */
#include "log/attempts.h"

#include "base/cc.h"

#include <stdlib.h>

#define ROOM_FIRST 8

void attempts_fini(struct attempts *a)
{
    free(a->list);
    *a = (struct attempts){0};
}

static struct attempt *find(const struct attempts *a, int64_t id)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->list[i].id == id)
            return &a->list[i];
    }
    return NULL;
}

/* A place for one more, NULL: no memory. */
static struct attempt *add(struct attempts *a)
{
    if (a->count == ATTEMPTS_MAX)
        return &a->list[a->oldest++ % ATTEMPTS_MAX];
    if (a->count == a->room) {
        uint32_t room = MAX(a->room * 2, ROOM_FIRST);
        struct attempt *grown = realloc(a->list, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        a->list = grown;
        a->room = room;
    }
    return &a->list[a->count++];
}

void attempts_note(struct attempts *a, int64_t id, int32_t epoch, int32_t sequence)
{
    struct attempt *at = find(a, id);
    if (at != NULL && (epoch < at->epoch || (epoch == at->epoch && sequence >= at->sequence)))
        return;
    if (at == NULL)
        at = add(a);
    if (at != NULL)
        *at = (struct attempt){id, epoch, sequence};
}

bool attempts_allow(const struct attempts *a, int64_t id, int32_t epoch, int32_t sequence)
{
    const struct attempt *at = find(a, id);
    return at == NULL || at->epoch != epoch || sequence <= at->sequence;
}

void attempts_forget(struct attempts *a, int64_t id)
{
    struct attempt *at = find(a, id);
    if (at == NULL)
        return;
    *at = a->list[--a->count];
    a->oldest = 0; /* in any order from here on */
}
