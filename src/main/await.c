/* SPDX-License-Identifier: MIT */
/*
 * Signals and changes of the file of settings. The directory is watched, not the file: editors and
 * orchestrators put another file, or another link, in its place.
 */
#include "main/await.h"

#include "base/cc.h"
#include "watch/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET_MS 100

static void mark_of(const char *file, long long mark[4])
{
    struct stat st;
    memset(mark, 0, 4 * sizeof *mark);
    if (stat(file, &st) == 0) {
        mark[0] = (long long)st.st_mtim.tv_sec;
        mark[1] = (long long)st.st_mtim.tv_nsec;
        mark[2] = (long long)st.st_size;
        mark[3] = (long long)st.st_ino;
    }
    errno = 0;
}

void await_begin(struct await *a, const sigset_t *signals, const char *file)
{
    *a = (struct await){.changes = -1};
    a->signals = signalfd(-1, signals, SFD_CLOEXEC);
    if (file[0] == '\0')
        return;
    snprintf(a->file, sizeof a->file, "%s", file);
    snprintf(a->folder, sizeof a->folder, "%s", file);
    char *slash = strrchr(a->folder, '/');
    if (slash == NULL)
        snprintf(a->folder, sizeof a->folder, ".");
    else
        slash[slash == a->folder] = '\0';
    mark_of(a->file, a->mark);
    a->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (a->changes < 0 ||
        inotify_add_watch(a->changes, a->folder,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE) < 0)
        watch_log(WATCH_WARN, "main", "changes of %s are seen only after SIGHUP: %s", file,
                  strerror(errno));
    errno = 0;
}

static void take_changes(struct await *a)
{
    char buffer[4096];
    while (read(a->changes, buffer, sizeof buffer) > 0)
        continue;
    errno = 0;
}

static bool file_changed(struct await *a)
{
    long long now[4];
    mark_of(a->file, now);
    bool changed = now[3] != 0 && memcmp(now, a->mark, sizeof now) != 0;
    if (changed)
        memcpy(a->mark, now, sizeof now);
    return changed;
}

enum await_event await_next(struct await *a, int *which)
{
    struct pollfd on[2] = {{.fd = a->signals, .events = POLLIN},
                           {.fd = a->changes, .events = POLLIN}};
    int quiet = -1;
    for (;;) {
        int n = poll(on, 2, quiet);
        if (n < 0)
            continue;
        if (n == 0 && file_changed(a))
            return AWAIT_FILE;
        if (n == 0)
            quiet = -1;
        if ((on[1].revents & POLLIN) != 0) {
            take_changes(a);
            quiet = QUIET_MS;
        }
        struct signalfd_siginfo info;
        if ((on[0].revents & POLLIN) != 0 &&
            read(a->signals, &info, sizeof info) == (ssize_t)sizeof info) {
            *which = (int)info.ssi_signo;
            if (*which == SIGHUP && a->file[0] != '\0')
                mark_of(a->file, a->mark);
            return AWAIT_SIGNAL;
        }
    }
}

void await_end(struct await *a)
{
    close(a->signals);
    if (a->changes >= 0)
        close(a->changes);
}
