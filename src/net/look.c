/* SPDX-License-Identifier: MIT */
/* When looking pays. The figures behind it: `make bench-trials`, trial roundtrip. */
#include "net/look.h"

#define GAP_NS (2 * LOOK_NS) /* a sleep's end is late by the wake-ups of both sides */
#define GROWS_PER 1000       /* looks may always cost one part in so many of the time */
#define CREDIT_NS_MAX (40 * LOOK_NS) /* lasts while sleeps are measured wrong for once */
#define WORTH(sleep_ns) ((sleep_ns) * 3 / 2) /* interrupts and cold caches are charged to others */
#define SHUN_NS INT64_C(100000) /* after a torn look; the next time twice as long */
#define SHUN_NS_MAX (1024 * SHUN_NS)
#define SLEEP_NS_FIRST INT64_C(10000)
#define SLEEP_NS_MAX INT64_C(40000)
#define MEASURE_EACH 8
#define SMOOTH 8

bool look_is_worth_it(struct look *l, int64_t now_ns)
{
    int64_t grown = MIN((now_ns - l->last_ns) / GROWS_PER, CREDIT_NS_MAX);
    l->credit_ns = MIN(l->credit_ns + grown, CREDIT_NS_MAX);
    l->last_ns = now_ns;
    return MAX(l->gap_ns, l->before_ns) <= GAP_NS && l->credit_ns >= LOOK_NS &&
           now_ns >= l->shun_until_ns;
}

static void note_gap(struct look *l, int64_t gap_ns)
{
    l->before_ns = l->gap_ns;
    l->gap_ns = gap_ns;
}

void look_ended(struct look *l, int64_t from_ns, int64_t now_ns, bool found, bool torn)
{
    int64_t spent = MIN(now_ns - from_ns, LOOK_NS); /* the rest was another thread's */
    int64_t sleep_ns = l->sleep_ns == 0 ? SLEEP_NS_FIRST : l->sleep_ns;
    l->credit_ns = MIN(l->credit_ns - spent + (found ? WORTH(sleep_ns) : 0), CREDIT_NS_MAX);
    if (torn) {
        l->shun_ns = MIN(MAX(l->shun_ns * 2, SHUN_NS), SHUN_NS_MAX);
        l->shun_until_ns = now_ns + l->shun_ns;
    } else if (found) {
        l->shun_ns /= 2;
    }
    if (found)
        note_gap(l, spent);
}

void look_slept(struct look *l, int64_t from_ns, int64_t now_ns, int64_t cpu_ns)
{
    note_gap(l, now_ns - from_ns);
    if (cpu_ns < 0)
        return;
    cpu_ns = MIN(cpu_ns, SLEEP_NS_MAX);
    l->sleep_ns += l->sleep_ns == 0 ? cpu_ns : (cpu_ns - l->sleep_ns) / SMOOTH;
}

bool look_wants_measure(struct look *l)
{
    return l->sleeps++ % MEASURE_EACH == 0;
}
