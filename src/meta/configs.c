/* SPDX-License-Identifier: MIT */
/* Settings of resources in an image: one piece of memory for each resource, shared between
 * images. */
#include "meta/image.h"

#include "wire/messages.h"

#include <stdlib.h>

enum { TOPIC_RESOURCE = 2 };

static void configs_drop(struct meta_configs *c)
{
    if (atomic_fetch_sub_explicit(&c->holds, 1, memory_order_acq_rel) == 1)
        free(c);
}

void configs_fini(struct meta_image *i)
{
    for (size_t k = 0; k < i->config_count; k++)
        configs_drop(i->configs[k]);
    free(i->configs);
    i->configs = NULL;
    i->config_count = 0;
}

bool configs_share(struct meta_image *d, const struct meta_image *from)
{
    d->configs = malloc((from->config_count + 1) * sizeof(struct meta_configs *));
    if (d->configs == NULL)
        return false;
    for (size_t i = 0; i < from->config_count; i++) {
        d->configs[i] = from->configs[i];
        atomic_fetch_add_explicit(&d->configs[i]->holds, 1, memory_order_relaxed);
    }
    d->config_count = from->config_count;
    return true;
}

static size_t configs_place(const struct meta_image *i, int8_t type, struct bytes name, bool *found)
{
    size_t low = 0, high = i->config_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct meta_configs *c = i->configs[middle];
        int order = c->type != type ? (c->type < type ? -1 : 1) : bytes_compare(c->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

const struct meta_configs *meta_configs(const struct meta_image *i, int8_t type, struct bytes name)
{
    bool found;
    size_t at = configs_place(i, type, name, &found);
    return found ? i->configs[at] : NULL;
}

static struct bytes keep(uint8_t **at, struct bytes b)
{
    if (b.size > 0)
        memcpy(*at, b.at, b.size);
    struct bytes kept = {*at, b.size};
    *at += b.size;
    return kept;
}

/* A copy of `old` (NULL: empty) in one piece, with one key set or (value null) deleted. */
static struct meta_configs *configs_with(const struct meta_configs *old, int8_t type,
                                         struct bytes resource, struct bytes name,
                                         struct bytes value)
{
    size_t count = old == NULL ? 0 : old->count, text = resource.size + name.size + value.size;
    for (size_t i = 0; i < count; i++)
        text += old->pairs[i].name.size + old->pairs[i].value.size;
    size_t table = (count + 1) * sizeof(struct meta_pair);
    struct meta_configs *c = calloc(1, sizeof *c + table + text + 1);
    if (c == NULL)
        return NULL;
    atomic_init(&c->holds, 1);
    c->type = type;
    c->pairs = (struct meta_pair *)(void *)(c + 1);
    uint8_t *at = (uint8_t *)(c + 1) + table;
    c->name = keep(&at, resource);
    bool done = value.at == NULL;
    for (size_t i = 0; i < count; i++) {
        const struct meta_pair *p = &old->pairs[i];
        int order = bytes_compare(p->name, name);
        if (!done && order >= 0) {
            c->pairs[c->count++] = (struct meta_pair){keep(&at, name), keep(&at, value)};
            done = true;
        }
        if (order != 0)
            c->pairs[c->count++] = (struct meta_pair){keep(&at, p->name), keep(&at, p->value)};
    }
    if (!done)
        c->pairs[c->count++] = (struct meta_pair){keep(&at, name), keep(&at, value)};
    return c;
}

static void configs_remove(struct meta_image *d, size_t at)
{
    configs_drop(d->configs[at]);
    d->config_count--;
    memmove(&d->configs[at], &d->configs[at + 1], (d->config_count - at) * sizeof *d->configs);
}

enum outcome apply_config(struct meta_image *d, const struct config_record *r)
{
    bool found;
    size_t at = configs_place(d, r->resource_type, r->resource_name, &found);
    struct meta_configs *old = found ? d->configs[at] : NULL;
    struct meta_configs *c =
        configs_with(old, r->resource_type, r->resource_name, r->name, r->value);
    struct meta_configs **grown = realloc(d->configs, (d->config_count + 2) * sizeof *grown);
    if (grown != NULL)
        d->configs = grown;
    if (c == NULL || grown == NULL) {
        free(c);
        return OUT_NO_MEMORY;
    }
    if (found) {
        configs_drop(old);
        d->configs[at] = c;
        if (c->count == 0)
            configs_remove(d, at);
        return OUT_OK;
    }
    if (c->count == 0) {
        configs_drop(c);
        return OUT_OK;
    }
    memmove(&d->configs[at + 1], &d->configs[at], (d->config_count - at) * sizeof *grown);
    d->configs[at] = c;
    d->config_count++;
    return OUT_OK;
}

void configs_forget_topic(struct meta_image *d, struct bytes name)
{
    bool found;
    size_t at = configs_place(d, TOPIC_RESOURCE, name, &found);
    if (found)
        configs_remove(d, at);
}
