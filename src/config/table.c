/* SPDX-License-Identifier: MIT */
/* The rows of all settings and the check of one value against its row. */
#include "config/private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct config_row broker_rows[] = {
#define SETTING(n, t, d, v, m, s, shown, i)                                            \
    {.name = n, .type = CONFIG_##t, .standard = d, .valid = v, .mode = CONFIG_##m,     \
     .sensitive = s, .described = shown, .internal = i, .synonyms = ""},
#include "config/setting.def"
#undef SETTING
};

#define ROW(n, t, d, v, s, shown)                                                      \
    {.name = n, .type = CONFIG_##t, .standard = d, .valid = v, .mode = CONFIG_CLUSTER_WIDE, \
     .described = shown, .synonyms = s},

static const struct config_row topic_rows[] = {
#define TOPIC(...) ROW(__VA_ARGS__, true)
#define OWN_TOPIC(...) ROW(__VA_ARGS__, false)
#define GROUP(...)
#define CLIENT(...)
#include "config/resource.def"
#undef TOPIC
#undef OWN_TOPIC
#undef GROUP
};

static const struct config_row group_rows[] = {
#define TOPIC(...)
#define OWN_TOPIC(...)
#define GROUP(...) ROW(__VA_ARGS__, true)
#include "config/resource.def"
#undef GROUP
#undef CLIENT
};

static const struct config_row client_rows[] = {
#define GROUP(...)
#define CLIENT(...) ROW(__VA_ARGS__, true)
#include "config/resource.def"
#undef TOPIC
#undef OWN_TOPIC
#undef GROUP
#undef CLIENT
};

static_assert(COUNT_OF(broker_rows) <= COUNT_OF(((struct config *)0)->text), "rows fit");

const struct config_row *config_rows(enum config_resource r, size_t *count)
{
    *count = 0;
    switch (r) {
    case CONFIG_BROKER: *count = COUNT_OF(broker_rows); return broker_rows;
    case CONFIG_TOPIC: *count = COUNT_OF(topic_rows); return topic_rows;
    case CONFIG_GROUP: *count = COUNT_OF(group_rows); return group_rows;
    case CONFIG_CLIENT_METRICS: *count = COUNT_OF(client_rows); return client_rows;
    case CONFIG_UNKNOWN_RESOURCE:
    case CONFIG_BROKER_LOGGER:
    default: return NULL;
    }
}

const struct config_row *config_row(enum config_resource r, struct bytes name)
{
    size_t count;
    const struct config_row *rows = config_rows(r, &count);
    for (size_t i = 0; i < count; i++) {
        if (bytes_is(name, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

int broker_row_index(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(broker_rows); i++) {
        if (strcmp(broker_rows[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* "[least,...,most] or -1"; absent ends are open. */
static bool in_range(const char *valid, double value)
{
    double least = 0, most = 0;
    if (valid[0] != '[' || strstr(valid, ",...") == NULL)
        return true;
    if (strstr(valid, " or -1") != NULL && value == -1)
        return true;
    int got = sscanf(valid, "[%lf,...,%lf", &least, &most);
    return value >= least && (got < 2 || value <= most);
}

/* Whether `word` is one of "[a, b, c]". */
static bool is_choice(const char *valid, struct bytes word)
{
    const char *open = strchr(valid, '[');
    if (open == NULL || strstr(valid, ",...") != NULL || strchr(valid, ':') != NULL)
        return true;
    bool any_case = strstr(valid, "case insensitive") != NULL;
    for (const char *at = open + 1; *at != '\0' && *at != ']';) {
        size_t size = strcspn(at, ",]");
        if (size == word.size && (any_case ? strncasecmp(at, (const char *)word.at, size)
                                           : memcmp(at, word.at, size)) == 0)
            return true;
        at += size;
        at += strspn(at, ", ");
    }
    return false;
}

struct bytes trimmed(struct bytes b)
{
    while (b.size > 0 && isspace(b.at[0])) {
        b.at++;
        b.size--;
    }
    while (b.size > 0 && isspace(b.at[b.size - 1]))
        b.size--;
    return b;
}

bool config_list_next(struct bytes *rest, struct bytes *word)
{
    if (rest->size == 0)
        return false;
    const uint8_t *comma = memchr(rest->at, ',', rest->size);
    size_t size = comma == NULL ? rest->size : (size_t)(comma - rest->at);
    *word = trimmed((struct bytes){rest->at, size});
    size_t step = comma == NULL ? size : size + 1;
    rest->at += step;
    rest->size -= step;
    return true;
}

static bool whole_number(const char *text, long long least, long long most, long long *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    bool good = errno == 0 && end != text && *end == '\0' && *value >= least && *value <= most;
    errno = 0;
    return good;
}

static bool number_valid(const struct config_row *row, const char *text)
{
    long long value;
    char *end;
    switch (row->type) {
    case CONFIG_INT: return whole_number(text, INT32_MIN, INT32_MAX, &value) &&
                            in_range(row->valid, (double)value);
    case CONFIG_SHORT: return whole_number(text, INT16_MIN, INT16_MAX, &value) &&
                              in_range(row->valid, (double)value);
    case CONFIG_LONG: return whole_number(text, INT64_MIN, INT64_MAX, &value) &&
                             in_range(row->valid, (double)value);
    case CONFIG_DOUBLE: {
        double d = strtod(text, &end);
        return end != text && *end == '\0' && in_range(row->valid, d);
    }
    case CONFIG_BOOLEAN: return strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0;
    case CONFIG_STRING:
    case CONFIG_LIST:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD: return true;
    }
    return false;
}

/* "PARTITION:BROKER", both in digits. */
static bool is_replica(struct bytes word)
{
    size_t digits = 0, colons = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] == ':' && digits > 0)
            colons++;
        else if (!isdigit(word.at[i]))
            return false;
        digits = word.at[i] == ':' ? 0 : digits + 1;
    }
    return colons == 1 && digits > 0;
}

static bool list_valid(const struct config_row *row, struct bytes value)
{
    struct bytes word;
    struct config_subject subject;
    bool subjects = strcmp(row->name, "nats.subjects") == 0;
    bool replicas = row->valid[0] == '[' && strchr(row->valid, ':') != NULL;
    if (replicas && bytes_is(trimmed(value), "*"))
        return true;
    while (config_list_next(&value, &word)) {
        if (subjects && word.size > 0 && !config_subject_parse(word, &subject))
            return false;
        if (word.size > 0 && replicas && !is_replica(word))
            return false;
        if (word.size > 0 && !is_choice(row->valid, word))
            return false;
    }
    return true;
}

bool config_valid(const struct config_row *row, struct bytes value,
                  char message[static CONFIG_MESSAGE])
{
    char text[64];
    struct bytes word = value.at == NULL ? bytes_of("null") : trimmed(value);
    bool good = value.at != NULL;
    if (good && row->type == CONFIG_LIST) {
        good = list_valid(row, value);
    } else if (good && (row->type == CONFIG_STRING || row->type == CONFIG_CLASS ||
                        row->type == CONFIG_PASSWORD)) {
        good = is_choice(row->valid, word);
    } else if (good) {
        good = word.size > 0 && word.size < sizeof text;
        if (good) {
            memcpy(text, word.at, word.size);
            text[word.size] = '\0';
            good = number_valid(row, text);
        }
    }
    if (!good)
        snprintf(message, CONFIG_MESSAGE, "Invalid value %.*s for configuration %s%s%s",
                 (int)MIN(word.size, 80), (const char *)word.at, row->name,
                 row->valid[0] == '\0' ? "" : ": must be in ", row->valid);
    return good;
}

bool config_check(int8_t resource, struct bytes name, struct bytes value,
                  char message[static CONFIG_MESSAGE])
{
    const struct config_row *row = config_row((enum config_resource)resource, name);
    if (row != NULL)
        return config_valid(row, value, message);
    snprintf(message, CONFIG_MESSAGE, "Unknown %s config name: %.*s",
             resource == CONFIG_TOPIC ? "topic" : "group", (int)MIN(name.size, 120),
             (const char *)name.at);
    return false;
}

/* Edit distance, bounded by the length of names. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 96 };
    size_t row[LONGEST + 1], n = MIN(strlen(b), (size_t)LONGEST);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            size_t swap = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MIN(MIN(above, row[j - 1]) + 1, swap);
            diagonal = above;
        }
    }
    return row[n];
}

const char *config_nearest(const char *name)
{
    const char *best = broker_rows[0].name;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < COUNT_OF(broker_rows); i++) {
        size_t d = distance(name, broker_rows[i].name);
        if (d < least) {
            least = d;
            best = broker_rows[i].name;
        }
    }
    return best;
}

const char *config_about(enum config_resource r, const char *name)
{
    for (size_t i = 0; i < config_sentence_count; i++) { /* for people, a few hundred at a time */
        const struct config_sentence *s = &config_sentences[i];
        if (s->resource == r && strcmp(s->name, name) == 0)
            return s->text;
    }
    return "It is kept and shown, and changes nothing here.";
}
