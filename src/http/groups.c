/* SPDX-License-Identifier: MIT */
/* Consumer groups: the list, one of them with its members and offsets, and their metrics. */
#include "http/text.h"

#include <jansson.h>

/* A client chose the bytes: what is no UTF-8 is shown as null. */
static json_t *word(struct bytes b)
{
    json_t *text = b.at == NULL ? NULL : json_stringn((const char *)b.at, b.size);
    return text == NULL ? json_null() : text;
}

static json_t *summary(const struct broker_group *g)
{
    return json_pack("{s:o, s:s, s:o, s:I, s:I}", "group_id", word(g->id), "state", g->state,
                     "protocol_type", word(g->protocol_type), "member_count",
                     (json_int_t)g->member_count, "lag", (json_int_t)g->lag);
}

void page_groups(struct text *t, const struct page *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->group_count; i++)
        json_array_append_new(list, summary(&p->groups[i]));
    text_json(t, json_pack("{s:o}", "consumer_groups", list));
}

static json_t *members_of(const struct broker_group *g)
{
    json_t *list = json_array();
    for (size_t i = 0; i < g->member_count; i++) {
        const struct broker_group_member *m = &g->members[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "member_id", word(m->member_id),
                                              "client_id", word(m->client_id), "client_host",
                                              word(m->client_host)));
    }
    return list;
}

static json_t *offsets_of(const struct broker_group *g)
{
    json_t *list = json_array();
    for (size_t i = 0; i < g->offset_count; i++) {
        const struct broker_group_offset *o = &g->offsets[i];
        json_int_t lag = o->end < 0 ? -1 : MAX(o->end - o->committed, 0);
        json_array_append_new(list, json_pack("{s:o, s:i, s:I, s:I, s:I}", "topic", word(o->topic),
                                              "partition", (int)o->partition, "committed_offset",
                                              (json_int_t)o->committed, "end_offset",
                                              (json_int_t)o->end, "lag", lag));
    }
    return list;
}

void page_group(struct text *t, const struct page *p)
{
    const struct broker_group *g = &p->groups[0];
    json_t *root = summary(g);
    json_object_set_new(root, "protocol", word(g->protocol));
    json_object_set_new(root, "members", members_of(g));
    json_object_set_new(root, "offsets", offsets_of(g));
    json_object_set_new(root, "offsets_total", json_integer((json_int_t)g->offset_total));
    text_json(t, root);
}

/* A label's value: backslash, quote and line end are escaped, other bytes stay. */
static void label(char *to, size_t room, struct bytes b)
{
    size_t used = 0;
    for (size_t i = 0; i < b.size && used + 3 < room; i++) {
        char c = (char)b.at[i];
        if (c == '\\' || c == '"' || c == '\n')
            to[used++] = '\\';
        to[used++] = c == '\n' ? 'n' : c;
    }
    to[used] = '\0';
}

void add_groups(struct text *t, const struct page *p)
{
    char name[512];
    add(t, "fluxmq_consumer_groups_active", "gauge", "Consumer groups known",
        (double)p->group_count);
    if (p->group_count == 0)
        return;
    text_add(t, "# HELP fluxmq_consumer_group_members Members of the group\n"
             "# TYPE fluxmq_consumer_group_members gauge\n");
    for (size_t i = 0; i < p->group_count; i++) {
        label(name, sizeof name, p->groups[i].id);
        text_add(t, "fluxmq_consumer_group_members{group=\"%s\"} %zu\n", name,
                 p->groups[i].member_count);
    }
    text_add(t, "# HELP fluxmq_consumer_group_lag Records behind the end, over all partitions\n"
             "# TYPE fluxmq_consumer_group_lag gauge\n");
    for (size_t i = 0; i < p->group_count; i++) {
        label(name, sizeof name, p->groups[i].id);
        text_add(t, "fluxmq_consumer_group_lag{group=\"%s\"} %lld\n", name,
                 (long long)p->groups[i].lag);
    }
}
