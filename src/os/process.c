/* SPDX-License-Identifier: MIT */
/* Clocks, limits and figures of the process. */
#include "os/os.h"

#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A sanitizer's heap is another one, and touching malloc's own then upsets the C library. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void os_keep_memory(void) {}
void os_trim_memory(void) {}
#else
#define FREE_KEPT MiB(16)   /* of each arena */
#define MAPPED_LEAST MiB(4) /* an allocation of this size has pages of its own */

void os_keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, FREE_KEPT);
    mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
}

void os_trim_memory(void)
{
    malloc_trim(0);
}
#endif

int64_t os_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t os_wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

int64_t os_cpu_ms(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000000;
}

size_t os_files_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return limit.rlim_max;
    }
    return limit.rlim_cur;
}

size_t os_resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long total = 0, resident = 0;
    if (f == NULL)
        return 0;
    if (fscanf(f, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* cgroup v2 "quota period" in microseconds; 0 when there is no limit. */
static int cgroup_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    long quota = 0, period = 0;
    if (f == NULL)
        return 0;
    int got = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    return got == 2 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int os_cores(void)
{
    cpu_set_t set;
    int cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
    int limit = cgroup_cores();
    return limit > 0 ? MIN(limit, cores) : cores;
}

void os_stop_self(void)
{
    kill(getpid(), SIGTERM);
}

/* The path's part between two slashes; false at the end. */
static bool next_part(const char **path, size_t *size)
{
    *path += strspn(*path, "/");
    *size = strcspn(*path, "/");
    return *size > 0;
}

bool os_absolute(const char *path, char *to, size_t room)
{
    size_t used = 0, size;
    to[0] = '\0';
    if (path[0] != '/') {
        if (getcwd(to, room) == NULL)
            return false;
        used = strcmp(to, "/") == 0 ? 0 : strlen(to);
    }
    for (; next_part(&path, &size); path += size) {
        if (size == 1 && *path == '.')
            continue;
        if (used + size + 2 > room)
            return false;
        to[used++] = '/';
        memcpy(to + used, path, size);
        used += size;
    }
    if (used == 0)
        to[used++] = '/';
    to[used] = '\0';
    return true;
}
