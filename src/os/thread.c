/* SPDX-License-Identifier: MIT */
/* Threads with a name and without signals. Starting one can fail; joining can't. */
#include "os/os.h"

#include "base/check.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct os_thread {
    pthread_t id;
    void (*run)(void *context);
    void *context;
    char name[16]; /* the kernel's limit, with its NUL */
};

static void *main_of(void *context)
{
    struct os_thread *t = context;
    int result = pthread_setname_np(pthread_self(), t->name);
    check(result == 0 || result == ENOENT || result == EACCES); /* a container may hide /proc */
    t->run(t->context);
    return NULL;
}

enum outcome os_thread_start(const char *name, void (*run)(void *context), void *context,
                             struct os_thread **thread)
{
    sigset_t all, before;
    *thread = NULL;
    struct os_thread *t = calloc(1, sizeof *t);
    if (t == NULL)
        return fail(OUT_NO_MEMORY, "start thread %s", name);
    t->run = run;
    t->context = context;
    for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof t->name; i++)
        t->name[i] = name[i];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
    int result = pthread_create(&t->id, NULL, main_of, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        free(t);
        errno = result;
        return fail(OUT_NO_MEMORY, "start thread %s", name);
    }
    *thread = t;
    return OUT_OK;
}

void os_thread_join(struct os_thread **thread)
{
    struct os_thread *t = *thread;
    if (t == NULL)
        return;
    int result = pthread_join(t->id, NULL);
    check(result == 0);
    free(t);
    *thread = NULL;
}

int64_t os_thread_cpu_ns(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return spent.tv_sec * INT64_C(1000000000) + spent.tv_nsec;
}

void os_thread_yield(void)
{
    sched_yield();
}

void os_thread_lowest(void)
{
    struct sched_param none = {0};
    if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0)
        os_thread_nice(19); /* a sandbox may forbid the one */
}

void os_thread_nice(int nice)
{
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice) != 0)
        errno = 0;
}
