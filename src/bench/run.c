/* SPDX-License-Identifier: MIT */
/*
 * A run: the topic is found, workers open their connections, time begins, and the calling thread
 * shows progress and watches the server's process until the last worker ends.
 */
#include "bench/private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ANSWERS_MAX GiB(1) /* about topics and their offsets */
#define BEGIN_IN_NS 2000000

/* ---- figures of processes ---- */

double bench_cpu_s(int pid)
{
    clockid_t clock;
    struct timespec t;
    if (pid <= 0 || clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_memory_mib(int pid, const char *field)
{
    char path[32], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            kib = strtod(line + strlen(field) + 1, NULL);
    }
    if (f != NULL)
        fclose(f);
    errno = 0;
    return kib / 1024;
}

/* ---- while it runs ---- */

struct watch {
    struct bench_run *run;
    struct bench_worker *workers;
    int64_t tick_ns;
    uint64_t produced, received;
    bool measures;
    double server_s, own_s; /* when measured time began */
};

static void show(struct watch *w, int64_t now)
{
    uint64_t produced = 0, received = 0;
    const struct bench_options *o = w->run->o;
    for (int64_t i = 0; i < o->threads; i++) {
        produced += w->workers[i].counts.records;
        received += w->workers[i].counts.received;
    }
    double seconds = (double)(now - w->tick_ns) / 1e9 + 1;
    fprintf(stderr, "%6.1f s%s", (double)(now - w->run->pace.begin_ns) / 1e9,
            now < w->run->from_ns ? " (warming up)" : "");
    if (o->mode != BENCH_CONSUME)
        fprintf(stderr, "  produced %llu, %.0f/s", (unsigned long long)produced,
                (double)(produced - w->produced) / seconds);
    if (o->mode != BENCH_PRODUCE)
        fprintf(stderr, "  consumed %llu, %.0f/s", (unsigned long long)received,
                (double)(received - w->received) / seconds);
    fputc('\n', stderr);
    w->produced = produced;
    w->received = received;
}

static void look(struct watch *w)
{
    int64_t now = os_now_ns();
    const struct bench_options *o = w->run->o;
    if (!w->measures && now >= w->run->from_ns) {
        w->measures = true;
        w->server_s = bench_cpu_s(o->pid);
        w->own_s = bench_cpu_s((int)getpid());
    }
    if (o->progress && now >= w->tick_ns) {
        show(w, now);
        w->tick_ns += BENCH_SECOND;
    }
    if (o->stopped())
        w->run->stop = true;
}

static void wait_for_all(struct watch *w)
{
    struct pollfd p = {.fd = w->run->wake_fd, .events = POLLIN};
    uint64_t ended;
    while (w->run->running > 0) {
        look(w);
        int64_t until = w->run->o->progress ? w->tick_ns : INT64_MAX;
        if (!w->measures)
            until = MIN(until, w->run->from_ns);
        int64_t wait_ms = bench_until(until) / 1000000 + 1;
        if (w->run->stop)
            wait_ms = 10; /* the signal came before the wait began */
        if (poll(&p, 1, (int)MIN(wait_ms, 1000)) > 0 && read(p.fd, &ended, sizeof ended) < 0)
            break;
    }
    errno = 0;
    look(w);
}

static enum outcome run_all(struct bench_run *run, struct bench_worker *workers,
                            struct bench_report *r)
{
    struct watch watch = {.run = run, .workers = workers};
    const struct bench_options *o = run->o;
    enum outcome out = OUT_OK;
    int64_t count = 0;
    run->pace.begin_ns = os_now_ns() + BEGIN_IN_NS;
    run->from_ns = run->pace.begin_ns + o->warm_ms * 1000000;
    run->until_ns = o->duration_ms > 0 ? run->from_ns + o->duration_ms * 1000000 : INT64_MAX;
    run->end_number = UINT64_MAX;
    if (o->count > 0 && o->rate > 0)
        run->end_number = (uint64_t)o->count +
                          (uint64_t)((double)o->warm_ms * (double)o->rate / 1000);
    watch.tick_ns = run->pace.begin_ns + BENCH_SECOND;
    for (; count < o->threads && out == OUT_OK; count++) {
        run->running++;
        run->producing += o->mode != BENCH_CONSUME;
        out = os_thread_start("bench", bench_worker_main, &workers[count], &workers[count].thread);
    }
    run->failed |= out != OUT_OK;
    if (out == OUT_OK)
        wait_for_all(&watch);
    for (int64_t i = 0; i < count; i++)
        os_thread_join(&workers[i].thread);
    r->server_cpu_s = bench_cpu_s(o->pid) - watch.server_s;
    r->own_cpu_s = bench_cpu_s((int)getpid()) - watch.own_s;
    return out;
}

/* ---- a run ---- */

static enum outcome add_up(struct bench_run *run, struct bench_worker *workers,
                           struct bench_report *r)
{
    int64_t final_ns = run->from_ns;
    for (int64_t i = 0; i < run->o->threads; i++) {
        struct bench_worker *w = &workers[i];
        const struct bench_report *from = &w->report;
        if (w->outcome != OUT_OK)
            return errno = 0, fail(w->outcome, "%s", w->why);
        r->records += from->records;
        r->batches += from->batches;
        r->requests += from->requests;
        r->bytes += from->bytes;
        r->received += from->received;
        r->sent += from->sent;
        r->wrong += from->wrong;
        r->gaps += from->gaps;
        r->checksum += from->checksum;
        r->checksum_back += from->checksum_back;
        histogram_merge(&r->latency, &from->latency);
        histogram_merge(&r->acked, &from->acked);
        histogram_merge(&r->late, &from->late);
        final_ns = MAX(final_ns, w->final_ns);
    }
    r->seconds = (double)(final_ns - run->from_ns) / 1e9;
    r->partitions = run->topic.partition_count;
    r->brokers = run->topic.broker_count;
    r->produce_version = run->topic.produce_version;
    r->fetch_version = run->topic.fetch_version;
    return OUT_OK;
}

static enum outcome run_workers(struct bench_run *run, struct bench_report *r)
{
    const struct bench_options *o = run->o;
    size_t size = (size_t)o->threads * sizeof(struct bench_worker);
    struct bench_worker *workers = aligned_alloc(CACHE_LINE, size);
    if (workers == NULL)
        return fail(OUT_NO_MEMORY, "%lld threads", (long long)o->threads);
    memset(workers, 0, size);
    run->wake_fd = eventfd(0, EFD_CLOEXEC);
    enum outcome out = run->wake_fd < 0 ? fail(OUT_NO_FILES, "eventfd") : OUT_OK;
    int opened = 0;
    for (int i = 0; i < o->threads && out == OUT_OK; i++, opened++)
        out = bench_worker_open(run, i, &workers[i]);
    if (out == OUT_OK)
        out = run_all(run, workers, r);
    if (out == OUT_OK)
        out = add_up(run, workers, r);
    if (out == OUT_OK && run->stop)
        out = OUT_END;
    for (int i = 0; i < opened; i++)
        bench_worker_close(&workers[i]);
    os_close(run->wake_fd);
    free(workers);
    return out;
}

/* Partitions of one's own: the offsets that were there before the load stay. */
static enum outcome keep_offsets(struct arena *arena, struct bench_topic *t)
{
    size_t size = (size_t)t->partition_count * sizeof *t->partitions;
    struct bench_partition *copy = arena_take(arena, size);
    if (copy == NULL)
        return fail(OUT_NO_MEMORY, "%d partitions", t->partition_count);
    memcpy(copy, t->partitions, size);
    t->partitions = copy;
    return OUT_OK;
}

/* What was produced, from the ends that there were before. */
static enum outcome read_back(const struct bench_run *before, struct arena *arena,
                              struct bench_report *r)
{
    static struct bench_report back;
    struct bench_options o = *before->o;
    struct bench_run run = {.o = &o, .topic = before->topic};
    memset(&back, 0, sizeof back);
    o.mode = BENCH_CONSUME;
    o.count = o.duration_ms = o.warm_ms = o.pid = 0;
    o.from = BENCH_FROM_START;
    o.unchecked = o.progress = false;
    o.connections = MIN(o.connections, run.topic.partition_count);
    o.threads = MIN(o.threads, o.connections);
    enum outcome out = keep_offsets(arena, &run.topic);
    if (out == OUT_OK)
        out = bench_topic_offsets(&o, arena, &run.topic);
    for (int32_t i = 0; i < run.topic.partition_count; i++)
        run.topic.partitions[i].start = before->topic.partitions[i].end;
    if (out == OUT_OK)
        out = run_workers(&run, &back);
    r->received = back.received;
    r->wrong = back.wrong;
    r->gaps = back.gaps;
    r->checksum_back = back.checksum_back;
    return out;
}

static enum outcome run_kafka(const struct bench_options *o, struct arena *arena,
                              struct bench_report *r)
{
    struct bench_run run = {.o = o, .wake_fd = -1};
    enum outcome out = bench_topic_find(o, arena, &run.topic);
    if (out == OUT_OK)
        out = bench_topic_offsets(o, arena, &run.topic);
    if (out != OUT_OK)
        return out;
    run.lane_count = (uint32_t)MAX(o->connections, run.topic.partition_count);
    run.pace.each_ns = o->rate > 0 ? 1e9 / (double)o->rate : 0;
    bench_maker_init(&run.maker, o);
    out = run_workers(&run, r);
    r->server_rss_mib = bench_memory_mib(o->pid, "VmRSS");
    r->server_anonymous_mib = bench_memory_mib(o->pid, "RssAnon");
    if (out == OUT_OK && o->mode == BENCH_PRODUCE && o->verify)
        out = read_back(&run, arena, r);
    return out;
}

enum outcome bench_run(const struct bench_options *o, struct bench_report *r)
{
    struct arena arena;
    memset(r, 0, sizeof *r);
    if (o->mode == BENCH_FAN_OUT)
        return bench_fan_out(o, r);
    os_files_limit();
    arena_init(&arena, ANSWERS_MAX);
    enum outcome out = run_kafka(o, &arena, r);
    arena_fini(&arena);
    return out;
}
