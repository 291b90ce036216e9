/* SPDX-License-Identifier: MIT */
/* Building pages (private to http/). */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include "http/http.h"

#define TEXT_ROOM KiB(32)
#define TEXT_MAX MiB(8)

/* A page under construction; it grows up to TEXT_MAX, then it is marked as cut. */
struct text {
    char *at;
    size_t used, room;
    bool cut;
};

void text_add(struct text *t, const char *format, ...) PRINTF(2, 3);
/* A metric without labels. */
void add(struct text *t, const char *name, const char *type, const char *help, double value);
/* A JSON document, which it drops. */
struct json_t;
void text_json(struct text *t, struct json_t *root);

/* Rates since the last look, kept by the server's thread. */
struct rates {
    int64_t at_ms;
    uint64_t produced, consumed;
    double produced_rate, consumed_rate;
    uint64_t produced_bytes, consumed_bytes;
    double produced_bytes_rate, consumed_bytes_rate;
    int64_t cpu_ms;
    double cpu_percent;        /* of one core */
};

struct page {
    struct http_figures figures;
    struct rates rates;
    int64_t uptime_ms;
    bool ready;
    const struct broker_group *groups;
    size_t group_count;
};

void page_metrics(struct text *t, const struct page *p); /* Prometheus */
void page_json(struct text *t, const struct page *p);
void page_health(struct text *t, const struct page *p);
void page_status(struct text *t, const struct page *p);
void page_groups(struct text *t, const struct page *p);
void page_group(struct text *t, const struct page *p); /* the first of the page */
void add_groups(struct text *t, const struct page *p); /* metrics */
void add_door(struct text *t, const struct page *p);   /* those of the NATS door */

#endif
