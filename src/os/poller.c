/* SPDX-License-Identifier: MIT */
/*
 * The poller: epoll, level triggered unless asked otherwise. A change that can't fail in a sane
 * process is checked.
 */
#include "os/os.h"

#include "base/check.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define BATCH 256

enum outcome os_poller_open(int *poller)
{
    *poller = epoll_create1(EPOLL_CLOEXEC);
    return *poller < 0 ? fail(outcome_of_errno(errno), "make a poller") : OUT_OK;
}

static struct epoll_event event_of(unsigned what, void *context)
{
    struct epoll_event e = {.data.ptr = context};
    if (what & OS_READABLE)
        e.events |= EPOLLIN;
    if (what & OS_WRITABLE)
        e.events |= EPOLLOUT;
    if (what & OS_ENDED)
        e.events |= EPOLLRDHUP;
    if (what & OS_ONCE)
        e.events |= EPOLLET;
    return e;
}

enum outcome os_poller_add(int poller, int fd, unsigned what, void *context)
{
    struct epoll_event e = event_of(what, context);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) != 0)
        return fail(outcome_of_errno(errno), "watch descriptor %d", fd);
    return OUT_OK;
}

void os_poller_change(int poller, int fd, unsigned what, void *context)
{
    struct epoll_event e = event_of(what, context);
    int result = epoll_ctl(poller, EPOLL_CTL_MOD, fd, &e);
    check(result == 0);
}

void os_poller_remove(int poller, int fd)
{
    struct epoll_event e = {0};
    int result = epoll_ctl(poller, EPOLL_CTL_DEL, fd, &e);
    check(result == 0);
}

int os_poller_wait(int poller, struct os_event *events, int room, int64_t wait_ns)
{
    struct epoll_event raw[BATCH];
    struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int count = epoll_pwait2(poller, raw, MIN(room, BATCH), wait_ns < 0 ? NULL : &wait, NULL);
    if (count < 0 && errno == ENOSYS) {
        int64_t ms = (wait_ns + 999999) / 1000000;
        count = epoll_wait(poller, raw, MIN(room, BATCH),
                           wait_ns < 0 ? -1 : (int)MIN(ms, (int64_t)INT32_MAX));
    }
    for (int i = 0; i < count; i++) {
        events[i].context = raw[i].data.ptr;
        events[i].what = 0;
        if (raw[i].events & EPOLLIN)
            events[i].what |= OS_READABLE;
        if (raw[i].events & EPOLLOUT)
            events[i].what |= OS_WRITABLE;
        if (raw[i].events & (EPOLLERR | EPOLLHUP))
            events[i].what |= OS_HANGUP;
        if (raw[i].events & EPOLLRDHUP)
            events[i].what |= OS_ENDED;
    }
    return MAX(count, 0);
}

enum outcome os_alarm_open(int *alarm)
{
    *alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return *alarm < 0 ? fail(outcome_of_errno(errno), "make a timer") : OUT_OK;
}

void os_alarm_set(int alarm, int64_t deadline_ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = deadline_ns / 1000000000,
                                         .tv_nsec = deadline_ns % 1000000000}};
    int result = timerfd_settime(alarm, TFD_TIMER_ABSTIME, &at, NULL);
    check(result == 0);
}
