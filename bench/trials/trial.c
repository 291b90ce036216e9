/* SPDX-License-Identifier: MIT */
/*
 * What the trials share, and the list of them.
 *
 *     bench-trials file PATH MIB        a file with the pattern
 *     bench-trials TRIAL WAY ...        see TRIAL.c
 */
#include "trial.h"

#include "base/histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

void trial_skip(const char *reason)
{
    printf("{\"skipped\": \"%s\"}\n", reason);
    exit(0);
}

int trial_print(const struct result *r)
{
    printf("{\"count\": %llu, \"bytes\": %llu, \"wrong\": %llu, \"seconds\": %.6f, "
           "\"user_s\": %.6f, \"sys_s\": %.6f", (unsigned long long)r->count,
           (unsigned long long)r->bytes, (unsigned long long)r->wrong, r->seconds, r->cpu.user_s,
           r->cpu.sys_s);
    if (r->times != NULL)
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f", (double)histogram_at(r->times, 0.5) / 1e3,
               (double)histogram_at(r->times, 0.99) / 1e3);
    if (r->puts_off)
        printf(", \"later_s\": %.6f", r->later.user_s + r->later.sys_s);
    if (r->note != NULL)
        printf(", \"note\": \"%s\"", r->note);
    printf("}\n");
    return r->wrong == 0 ? 0 : 1;
}

struct cpu cpu_now(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (struct cpu){(double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
                        (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6};
}

struct cpu cpu_since(int who, struct cpu before)
{
    struct cpu now = cpu_now(who);
    return (struct cpu){now.user_s - before.user_s, now.sys_s - before.sys_s};
}

size_t number(const char *word)
{
    char *end;
    unsigned long value = strtoul(word, &end, 10);
    if (*end != '\0' || end == word) {
        errno = EINVAL;
        die("%s", word);
    }
    return value;
}

void *room_of(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        die("memory");
    memset(at, 0x5a, size);
    return at;
}

int word_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    errno = EINVAL;
    die("%s", word);
}

/* ---- the broker's side ---- */

void side_open(struct side *s)
{
    *s = (struct side){.child = 0};
    s->served = mmap(NULL, sizeof *s->served, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0);
    if (s->served == MAP_FAILED)
        die("memory");
    s->listener = listen_at(&s->address, BACKLOG);
}

static struct cpu begun; /* in the child: what its preparations took */

void side_begin(struct side *s)
{
    begun = cpu_now(RUSAGE_SELF);
    s->served->ready = 1;
}

void side_run(struct side *s, void (*run)(struct side *, void *), void *argument)
{
    s->child = fork();
    if (s->child < 0)
        die("fork");
    if (s->child > 0)
        return;
    run(s, argument);
    struct cpu spent = cpu_since(RUSAGE_SELF, begun);
    s->served->user_s = spent.user_s;
    s->served->sys_s = spent.sys_s;
    _exit(0);
}

void side_skip(struct side *s, int error)
{
    s->served->skipped = error;
    s->served->ready = 1;
    _exit(0);
}

void side_wait_ready(struct side *s)
{
    while (s->served->ready == 0) {
        if (waitpid(s->child, NULL, WNOHANG) != 0)
            die("the broker's side ended early");
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    if (s->served->skipped != 0)
        trial_skip(strerror(s->served->skipped));
}

int side_accept(struct side *s)
{
    return accept_from(s->listener);
}

int side_dial(struct side *s)
{
    return dial(&s->address);
}

void side_end(struct side *s, struct result *r)
{
    int status;
    if (waitpid(s->child, &status, 0) != s->child || status != 0)
        die("the broker's side failed");
    r->cpu = (struct cpu){s->served->user_s, s->served->sys_s};
    r->wrong += s->served->wrong;
}

/* ---- the pattern ---- */

static uint64_t word_at(uint64_t at)
{
    return (at | 1) * 0x9e3779b97f4a7c15ull;
}

void pattern_fill(void *to, uint64_t at, size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = word_at(at + i);
        memcpy((uint8_t *)to + i, &word, 8);
    }
}

static bool word_good(const uint8_t *from, uint64_t at)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word == word_at(at);
}

bool pattern_good(const void *from, uint64_t at, size_t size)
{
    const uint8_t *bytes = from;
    bool good = word_good(bytes + size - 8, at + size - 8);
    for (size_t i = 0; i + 8 <= size; i += PATTERN_STEP)
        good &= word_good(bytes + i, at + i);
    return good;
}

int file_open(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file < 0)
        die("%s", path);
    return file;
}

void file_fill(int file, uint64_t size)
{
    uint8_t *room = room_of(1 << 20);
    for (uint64_t at = 0; at < size; at += 1 << 20) {
        size_t part = size - at < 1 << 20 ? (size_t)(size - at) : 1 << 20;
        pattern_fill(room, at, part);
        if (pwrite(file, room, part, (off_t)at) != (ssize_t)part)
            die("pwrite");
    }
    munmap(room, 1 << 20);
}

/* On the disk too: a cold read can only be cold when nothing is left to be written. */
static int make_file(char **words)
{
    int file = file_open(words[0], O_RDWR | O_CREAT | O_TRUNC);
    file_fill(file, (uint64_t)number(words[1]) << 20);
    if (fdatasync(file) != 0)
        die("fdatasync");
    printf("{}\n");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int words;
        int (*run)(char **);
    } trials[] = {
        {"file", 2, make_file},
        {"fetch", 5, trial_fetch},
        {"echo", 4, trial_echo},
        {"append", 4, trial_append},
        {"flush", 4, trial_flush},
        {"cold", 5, trial_cold},
        {"bulk", 4, trial_bulk},
        {"pages", 4, trial_pages},
        {"rooms", 3, trial_rooms},
        {"roundtrip", 4, trial_roundtrip},
    };
    for (size_t i = 0; argc > 1 && i < COUNT_OF(trials); i++) {
        if (strcmp(argv[1], trials[i].name) == 0 && argc == trials[i].words + 2)
            return trials[i].run(argv + 2);
    }
    fprintf(stderr, "usage: the first lines of bench/trials/trial.c\n");
    return 2;
}
