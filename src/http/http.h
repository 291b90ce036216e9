/* SPDX-License-Identifier: MIT */
/*
 * Metrics and health over HTTP, for people, Prometheus and orchestrators. One thread of
 * libmicrohttpd; what it tells comes from watch/ and from the functions that main/ hands in.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/arena.h"
#include "broker/broker.h"

/* Figures that are computed when asked for. */
struct http_figures {
    int64_t topics, partitions;
    int64_t stored_messages, stored_bytes;
    int64_t free_bytes;       /* of the data directory's file system, -1: unknown */
    int32_t offline_partitions;
    int32_t node_id;
    const char *cluster_id;   /* static, or valid while the server runs */
};

struct http_options {
    const char *host;
    int port;                 /* 0 is for the caller: do not start */
    void (*figures)(void *context, struct http_figures *out); /* any thread */
    /* Consumer groups, or the one called `only`, in memory of the arena. NULL: none are shown. */
    enum outcome (*groups)(void *context, struct bytes only, struct arena *arena,
                           struct broker_group **groups, size_t *count);
    void *context;
};

struct http;

/* OUT_IN_USE, OUT_NO_ACCESS, OUT_NOT_FOUND (host) with the sentence. */
MUST enum outcome http_start(const struct http_options *o, struct http **http);
/* From here on /health/ready answers 200. */
void http_ready(struct http *http);
void http_stop(struct http *http);

#endif
