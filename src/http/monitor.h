/* SPDX-License-Identifier: MIT */
/* The monitoring pages of the NATS door, in nats-server's form (private to http/). */
#ifndef HTTP_MONITOR_H
#define HTTP_MONITOR_H

#include "http/text.h"
#include "nats/nats.h"

#include <jansson.h>

/* Entries of a page: when nothing is said, and at most; the rest is further pages. */
#define MONITOR_LIMIT 1024
#define MONITOR_LIMIT_MAX 8192

/* What a page is asked for, and what it is made of. */
struct monitor {
    struct MHD_Connection *request;
    struct nats_figures figures;
    const struct http_options *options;
    int64_t now_ms;            /* wall clock */
    double cpu_percent;
    int offline_partitions;
    bool ready;
    char wrong[160];           /* a page that answers with another status than 200 says why */
};

/* A page: 200, or the status to answer instead. */
unsigned monitor_varz(struct text *t, struct monitor *m);
unsigned monitor_connz(struct text *t, struct monitor *m);
unsigned monitor_subsz(struct text *t, struct monitor *m);
unsigned monitor_healthz(struct text *t, struct monitor *m);

/* Arguments behind the question mark. An absent one leaves the value as it is; false: it is there
 * and is wrong, which m->wrong says. */
const char *monitor_word(const struct monitor *m, const char *name); /* NULL: absent */
MUST bool monitor_number(struct monitor *m, const char *name, uint64_t *value);
MUST bool monitor_flag(struct monitor *m, const char *name, bool *value);

/* Text as JSON; null when it is no UTF-8. */
json_t *monitor_text(struct bytes b);
json_t *monitor_time(int64_t wall_ms);     /* RFC 3339 */
json_t *monitor_age(int64_t ms);           /* "1d2h3m4s" */
/* A duration as Go prints it: "812ns", "500µs", "1.25ms", "2.5s". */
#define MONITOR_DURATION 32
void monitor_duration(int64_t ns, char text[static MONITOR_DURATION]);

#endif
