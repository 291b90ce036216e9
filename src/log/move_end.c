/* SPDX-License-Identifier: MIT */
/* What a crash left of moves between log directories: see move.c. */
#include "log/io.h"
#include "log/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static bool ends_with(const char *name, const char *suffix)
{
    size_t size = strlen(name), more = strlen(suffix);
    return size > more && strcmp(name + size - more, suffix) == 0;
}

static bool is_there(const char *const *dirs, size_t count, const char *partition)
{
    char path[LOG_PATH_MAX];
    struct stat there;
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        snprintf(path, sizeof path, "%s/%s", dirs[i], partition);
        found = stat(path, &there) == 0;
    }
    errno = 0;
    return found;
}

/* Of TOPIC-PARTITION.UNIQUE-suffix the partition's name. */
static bool name_of(const char *name, char partition[static 256])
{
    const char *dot = strrchr(name, '.');
    if (dot == NULL || dot - name >= 256)
        return false;
    snprintf(partition, 256, "%.*s", (int)(dot - name), name);
    return true;
}

/* TOPIC-PARTITION.UNIQUE-moved: back to its name, or away. */
static enum outcome end_moved(const char *const *dirs, size_t count, const char *dir,
                              const char *name, bool whole)
{
    char path[LOG_PATH_MAX], back[LOG_PATH_MAX], partition[256];
    if (!name_of(name, partition))
        return OUT_OK;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(back, sizeof back, "%s/%s", dir, partition);
    if (is_there(dirs, count, partition))
        return log_delete_finish(path);
    if (!whole)
        return OUT_OK; /* it may be where we can't look */
    if (rename(path, back) != 0)
        return fail(outcome_of_errno(errno), "rename %s to %s", path, back);
    return io_sync_dir(&log_io_kernel, dir);
}

/* A copy is of use only where there is nothing else: then it is left for people to look at. */
static enum outcome end_future(const char *const *dirs, size_t count, const char *dir,
                               const char *name)
{
    char path[LOG_PATH_MAX], partition[256];
    if (!name_of(name, partition) || !is_there(dirs, count, partition))
        return OUT_OK;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return log_delete_finish(path);
}

/* Those that were put aside first: the copies are looked at when all have their names. */
static enum outcome end_in(const char *const *dirs, size_t count, const char *dir, bool moved,
                           bool whole)
{
    DIR *d = opendir(dir);
    enum outcome o = d == NULL ? fail(outcome_of_errno(errno), "read %s", dir) : OUT_OK;
    for (struct dirent *e; o == OUT_OK && (e = readdir(d)) != NULL;) {
        if (moved && ends_with(e->d_name, LOGDIR_MOVED)) {
            o = end_moved(dirs, count, dir, e->d_name, whole);
        } else if (!moved && ends_with(e->d_name, LOGDIR_FUTURE)) {
            o = end_future(dirs, count, dir, e->d_name);
        }
    }
    if (d != NULL)
        closedir(d);
    return o;
}

enum outcome logdir_moves_end(const char *const *dirs, size_t count, bool whole)
{
    enum outcome o = OUT_OK;
    for (size_t i = 0; i < count && o == OUT_OK; i++)
        o = end_in(dirs, count, dirs[i], true, whole);
    for (size_t i = 0; i < count && o == OUT_OK; i++)
        o = end_in(dirs, count, dirs[i], false, whole);
    return o;
}
