/* SPDX-License-Identifier: MIT */
/* Changing settings: which resource may have which key with which value, and the records of it. */
#include "kafka/alter.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS_MAX 1000 /* more than there are settings */

static int16_t refuse(struct call *c, struct bytes *why, int16_t error, const char *text)
{
    *why = arena_print(c->arena, "%s", text);
    return error;
}

static int16_t check_resource(struct call *c, int8_t type, struct bytes name, struct bytes *why)
{
    char id[16];
    switch (type) {
    case CONFIG_TOPIC:
        if (view_topic(broker_newest(c->broker), name) == NULL)
            return refuse(c, why, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic does not exist.");
        return KAFKA_NONE;
    case CONFIG_BROKER:
        snprintf(id, sizeof id, "%d", broker_node_id(c->broker));
        if (name.size > 0 && !bytes_is(name, id))
            return refuse(c, why, KAFKA_INVALID_REQUEST, "Unexpected broker id: this broker's or "
                                                         "none (the cluster default) is expected.");
        return KAFKA_NONE;
    case CONFIG_GROUP:
    case CONFIG_CLIENT_METRICS:
        if (name.size == 0)
            return refuse(c, why, KAFKA_INVALID_REQUEST, "The resource name must not be empty.");
        return KAFKA_NONE;
    case CONFIG_BROKER_LOGGER:
        return refuse(c, why, KAFKA_INVALID_CONFIG, "There is one logger, root; its level is set "
                                                    "with --log-level.");
    default: return refuse(c, why, KAFKA_INVALID_REQUEST, "Unsupported resource type.");
    }
}

/* A broker setting nobody knows is stored: it may be a plugin's (Kafka does the same). */
static int16_t check_key(struct call *c, int8_t type, struct bytes resource,
                         const struct alteration *w, const struct config_row *row,
                         struct bytes *why)
{
    if (type != CONFIG_BROKER && row == NULL)
        return refuse(c, why, KAFKA_INVALID_CONFIG, "Unknown config name.");
    bool list = row != NULL && row->type == CONFIG_LIST;
    if (w->operation < ALTER_SET || w->operation > ALTER_SUBTRACT)
        return KAFKA_UNKNOWN_SERVER_ERROR;
    if (w->operation >= ALTER_APPEND && !list)
        return refuse(c, why, KAFKA_INVALID_CONFIG, "Can't append to or subtract from a key "
                                                    "that is "
                                                    "not a list.");
    if (w->operation != ALTER_DELETE && w->value.at == NULL)
        return refuse(c, why, KAFKA_INVALID_REQUEST, "Null value not supported for this "
                                                     "operation.");
    if (type == CONFIG_BROKER && row != NULL)
        return alter_broker_key(c, resource, w, row, why);
    return KAFKA_NONE;
}

static bool word_in(struct bytes list, struct bytes word)
{
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.at, ',', list.size);
        size_t size = comma == NULL ? list.size : (size_t)(comma - list.at);
        if (bytes_equal(bytes_view(list.at, size), word))
            return true;
        size_t step = MIN(size + 1, list.size);
        list.at += step;
        list.size -= step;
    }
    return false;
}

/* `base` with the words of `other` added, or (subtract) without them. */
static struct bytes combine(struct call *c, struct bytes base, struct bytes other, bool subtract)
{
    uint8_t *out = arena_take(c->arena, base.size + other.size + 2);
    size_t used = 0;
    if (out == NULL)
        return bytes_of("");
    for (int pass = 0; pass < 2; pass++) {
        struct bytes rest = pass == 0 ? base : other;
        while (rest.size > 0 && !(pass == 1 && subtract)) {
            const uint8_t *comma = memchr(rest.at, ',', rest.size);
            size_t size = comma == NULL ? rest.size : (size_t)(comma - rest.at);
            struct bytes word = bytes_view(rest.at, size);
            bool skip = pass == 0 ? subtract && word_in(other, word) : word_in(base, word);
            if (size > 0 && !skip) {
                if (used > 0)
                    out[used++] = ',';
                memcpy(out + used, word.at, size);
                used += size;
            }
            size_t step = MIN(size + 1, rest.size);
            rest.at += step;
            rest.size -= step;
        }
    }
    return bytes_view(out, used);
}

/* The value a list has now: set, or the default. */
static struct bytes list_now(struct call *c, int8_t type, struct bytes resource,
                             const struct config_row *row)
{
    const struct meta_image *image = broker_newest(c->broker)->image;
    const struct meta_configs *own = meta_configs(image, type, resource);
    for (size_t i = 0; own != NULL && i < own->count; i++) {
        if (bytes_is(own->pairs[i].name, row->name))
            return own->pairs[i].value;
    }
    char buffer[CONFIG_TEXT];
    const char *synonym;
    enum config_source source;
    const char *text = type == CONFIG_TOPIC
                           ? config_topic_default(c->config, row, buffer, &synonym, &source)
                           : row->standard;
    return arena_print(c->arena, "%s", text == NULL ? "" : text);
}

/* A group's "consumer.session.timeout.ms" has to be within the broker's
 * group.consumer.min.session.timeout.ms and ...max...: so for every setting that has such a
 * pair. */
static bool within_broker_bounds(struct call *c, struct bytes name, struct bytes value)
{
    const uint8_t *dot = memchr(name.at, '.', name.size);
    if (dot == NULL || value.size == 0 || value.size > 19)
        return true;
    static const char *const ends[] = {"min", "max"};
    char text[24], key[160];
    memcpy(text, value.at, value.size);
    text[value.size] = '\0';
    long long number = strtoll(text, NULL, 10);
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "group.%.*s.%s%.*s", (int)(dot - name.at), (const char *)name.at,
                 ends[i], (int)(name.size - (size_t)(dot - name.at)), (const char *)dot);
        const char *bound = config_text(c->config, key, NULL);
        if (bound == NULL)
            continue;
        long long limit = strtoll(bound, NULL, 10);
        if (i == 0 ? number < limit : number > limit)
            return false;
    }
    return true;
}

/* Where a topic's records are stays as it was given when the topic was made, and what is in memory
 * is not compacted. */
static int16_t check_storage(struct call *c, struct bytes resource, const struct config_row *row,
                             struct bytes value, struct bytes *why)
{
    const struct topic *t = view_topic(broker_newest(c->broker), resource);
    bool memory = t != NULL && t->config.memory;
    const char *now = memory ? "memory" : "disk";
    if (strcmp(row->name, "storage.class") == 0 &&
        !bytes_is(value.at == NULL ? bytes_of(row->standard) : value, now))
        return refuse(c, why, KAFKA_INVALID_CONFIG,
                      "storage.class can't be changed: it is given when the topic is created.");
    struct bytes word;
    while (memory && strcmp(row->name, "cleanup.policy") == 0 && config_list_next(&value, &word)) {
        if (bytes_is(word, "compact"))
            return refuse(c, why, KAFKA_INVALID_CONFIG,
                          "A topic in memory (storage.class=memory) can't be compacted.");
    }
    return KAFKA_NONE;
}

static int16_t plan_one(struct call *c, int8_t type, struct bytes resource,
                        const struct alteration *w, struct meta_change *change, struct bytes *why)
{
    const struct config_row *row = config_row((enum config_resource)type, w->name);
    char message[CONFIG_MESSAGE];
    int16_t error = check_key(c, type, resource, w, row, why);
    if (error != KAFKA_NONE)
        return error;
    struct bytes value = w->value;
    if (w->operation == ALTER_DELETE)
        value = bytes_of(NULL);
    else if (w->operation != ALTER_SET)
        value = combine(c, list_now(c, type, resource, row), w->value,
                        w->operation == ALTER_SUBTRACT);
    bool broker = type == CONFIG_BROKER;
    if (value.at != NULL && row != NULL && !config_valid(row, value, message))
        return refuse(c, why, broker ? KAFKA_INVALID_REQUEST : KAFKA_INVALID_CONFIG, message);
    if (broker && value.at != NULL && row != NULL)
        error = alter_broker_value(c, resource, row, value, why);
    if (type == CONFIG_TOPIC)
        error = check_storage(c, resource, row, value, why);
    if (error != KAFKA_NONE)
        return error;
    if (type == CONFIG_GROUP && value.at != NULL && !within_broker_bounds(c, w->name, value))
        return refuse(c, why, KAFKA_INVALID_CONFIG, "The value is outside the broker's bounds.");
    return error_of(meta_plan_config(type, resource, w->name, value, change));
}

static int16_t plan_all(struct call *c, const struct alter_resource *r, struct meta_change *change)
{
    const struct alteration *wishes = r->wishes;
    int16_t error = check_resource(c, r->type, r->name, r->why);
    if (wishes == NULL)
        return error_of(OUT_NO_MEMORY);
    if (r->count > KEYS_MAX)
        return refuse(c, r->why, KAFKA_INVALID_REQUEST, "Too many keys in one request.");
    for (size_t i = 0; i < r->count && error == KAFKA_NONE; i++) {
        for (size_t k = 0; k < i; k++) {
            if (bytes_equal(wishes[k].name, wishes[i].name))
                return refuse(c, r->why, KAFKA_INVALID_REQUEST, "Duplicate config key.");
        }
    }
    for (size_t i = 0; i < r->count && error == KAFKA_NONE; i++)
        error = plan_one(c, r->type, r->name, &wishes[i], change, r->why);
    return error;
}

void alter_all(struct call *c, const struct alter_resource *resources, size_t count,
               bool validate_only)
{
    struct meta_change change;
    meta_change_init(&change);
    for (size_t i = 0; i < count; i++) {
        struct meta_record **before = change.end;
        size_t count_before = change.count;
        *resources[i].error = plan_all(c, &resources[i], &change);
        if (*resources[i].error != KAFKA_NONE) {
            *before = NULL;
            change.end = before;
            change.count = count_before;
        }
    }
    enum outcome o = validate_only ? OUT_OK : broker_apply(c->broker, &change);
    for (size_t i = 0; o != OUT_OK && i < count; i++) {
        if (*resources[i].error == KAFKA_NONE)
            *resources[i].error = error_of(o);
    }
    meta_change_fini(&change);
}
