/* SPDX-License-Identifier: MIT */
/* See groups.h. */
#include "kafka/groups.h"

#include <strings.h>

struct coordinator_work *group_work(struct call *c, size_t events, group_answer *answer)
{
    struct coordinator_work *w = arena_new(c->arena, struct coordinator_work);
    struct group_event *list = arena_array(c->arena, struct group_event, events);
    if (w == NULL || list == NULL)
        return NULL;
    w->request = c->request;
    w->events = list;
    w->event_count = events;
    w->answer = answer;
    w->done = call_finish_request;
    w->context = c;
    return w;
}

struct bytes group_text(struct call *c, struct bytes b)
{
    return b.at == NULL ? bytes_of("") : arena_copy(c->arena, b);
}

struct bytes group_host(struct call *c)
{
    const char *peer = c->request->peer;
    return arena_print(c->arena, "/%s", peer == NULL ? "" : peer);
}

bool group_filter(const struct bytes *filter, int32_t count, const char *word)
{
    for (int32_t i = 0; i < count; i++) {
        if (filter[i].size == strlen(word) &&
            strncasecmp((const char *)filter[i].at, word, filter[i].size) == 0)
            return true;
    }
    return count <= 0;
}
