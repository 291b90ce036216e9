/* SPDX-License-Identifier: MIT */
/*
 * The files of a log directory: who it belongs to, its lock, the clean-shutdown marker,
 * checkpoints, and which partitions it holds. Small text files, written whole: temporary file,
 * flush, rename, flush of the directory.
 */
#include "log/partition.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_LIMIT MiB(64)
#define CLEAN_NAME ".kafka_cleanshutdown"
#define LOCK_NAME ".lock"
#define META_NAME "meta.properties"

static enum outcome checked_path(char to[static LOG_PATH_MAX], const char *dir, const char *name)
{
    int used = snprintf(to, LOG_PATH_MAX, "%s/%s", dir, name);
    return used > 0 && used < LOG_PATH_MAX - 8 ? OUT_OK
                                               : fail(OUT_TOO_LARGE, "path %s/%s is too long", dir,
                                                      name);
}

enum outcome logdir_file_write(const char *dir, const char *name, struct bytes text)
{
    char path[LOG_PATH_MAX], tmp[LOG_PATH_MAX];
    const struct log_io *io = &log_io_kernel;
    enum outcome o = checked_path(path, dir, name);
    if (o != OUT_OK)
        return o;
    memcpy(tmp, path, sizeof tmp);
    memcpy(tmp + strlen(tmp), ".tmp", 5);
    o = io_replace(io, tmp, text.at, text.size, IO_SYNCED);
    if (o == OUT_OK && io->rename(tmp, path) != 0)
        o = fail(outcome_of_errno(errno), "rename %s", tmp);
    return o == OUT_OK ? io_sync_dir(io, dir) : o;
}

enum outcome logdir_file_read(const char *dir, const char *name, char **text, size_t *size)
{
    char path[LOG_PATH_MAX];
    enum outcome o = checked_path(path, dir, name);
    return o == OUT_OK ? io_read_all(&log_io_kernel, path, FILE_LIMIT, text, size) : o;
}

enum outcome logdir_sync(const char *dir)
{
    int fd;
    enum outcome o = io_open(&log_io_kernel, dir, O_RDONLY | O_DIRECTORY, &fd);
    if (o != OUT_OK)
        return o;
    if (syncfs(fd) != 0)
        o = fail(OUT_IO, "sync the file system of %s", dir);
    io_close(&log_io_kernel, fd);
    return o;
}

/* ---- meta.properties ---- */

/* The value of `key` in lines "key=value", into `to`; false when missing or too long. */
static bool property(const char *text, const char *key, char *to, size_t room)
{
    size_t key_size = strlen(key);
    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\r\n");
        if (size > key_size && line[key_size] == '=' && strncmp(line, key, key_size) == 0 &&
            size - key_size - 1 < room) {
            memcpy(to, line + key_size + 1, size - key_size - 1);
            to[size - key_size - 1] = '\0';
            return true;
        }
        line += size + strspn(line + size, "\r\n");
    }
    to[0] = '\0';
    return false;
}

static bool whole_number(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    bool good = end != text && *end == '\0' && errno == 0;
    errno = 0;
    return good;
}

enum outcome logdir_meta_read(const char *dir, struct log_meta_properties *m)
{
    char *text, value[64];
    size_t size;
    int64_t number = 0;
    enum outcome o = logdir_file_read(dir, META_NAME, &text, &size);
    if (o != OUT_OK)
        return o;
    memset(m, 0, sizeof *m);
    if (!property(text, "version", value, sizeof value) || !whole_number(value, &number) ||
        number < 0 ||
        number > 1)
        o = fail(OUT_CORRUPT, "%s/" META_NAME ": no line version=0 or version=1", dir);
    m->version = (int32_t)number;
    const char *id_key = m->version == 0 ? "broker.id" : "node.id";
    if (o == OUT_OK &&
        (!property(text, id_key, value, sizeof value) || !whole_number(value, &number) ||
                        number < 0 || number > INT32_MAX))
        o = fail(OUT_CORRUPT, "%s/" META_NAME ": no line %s=NUMBER", dir, id_key);
    m->node_id = (int32_t)number;
    if (o == OUT_OK && !property(text, "cluster.id", m->cluster_id, sizeof m->cluster_id) &&
        m->version == 1)
        o = fail(OUT_CORRUPT, "%s/" META_NAME ": no line cluster.id=ID", dir);
    if (!property(text, "directory.id", m->directory_id, sizeof m->directory_id))
        m->directory_id[0] = '\0';
    free(text);
    return o;
}

enum outcome logdir_meta_write(const char *dir, const struct log_meta_properties *m)
{
    char text[256];
    int used = snprintf(text, sizeof text,
                        "#\n#\ncluster.id=%s\ndirectory.id=%s\nnode.id=%" PRId32 "\nversion=1\n",
                        m->cluster_id, m->directory_id, m->node_id);
    return logdir_file_write(dir, META_NAME, bytes_view(text, (size_t)used));
}

/* ---- lock and marker ---- */

enum outcome logdir_lock(const char *dir, int *lock)
{
    char path[LOG_PATH_MAX];
    *lock = -1;
    enum outcome o = checked_path(path, dir, LOCK_NAME);
    if (o == OUT_OK)
        o = io_open(&log_io_kernel, path, O_RDWR | O_CREAT, lock);
    if (o != OUT_OK)
        return o;
    /* Both kinds: Java takes a record lock, another handle of this process would get that too. */
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 && fcntl(*lock, F_SETLK, &whole) == 0)
        return OUT_OK;
    close(*lock);
    *lock = -1;
    errno = 0;
    return fail(OUT_IN_USE, "%s is used by another process (its " LOCK_NAME " file is locked)",
                dir);
}

void logdir_unlock(const char *dir, int lock)
{
    (void)dir; /* the file stays: removing it would race with the next owner */
    io_close(&log_io_kernel, lock);
}

enum outcome logdir_clean_take(const char *dir, enum log_shutdown *was, int64_t *broker_epoch)
{
    char path[LOG_PATH_MAX], *text;
    size_t size;
    *was = LOG_UNCLEAN;
    *broker_epoch = -1;
    enum outcome o = logdir_file_read(dir, CLEAN_NAME, &text, &size);
    errno = 0;
    if (o == OUT_NOT_FOUND)
        return OUT_OK;
    if (o != OUT_OK)
        return o;
    *was = LOG_CLEAN;
    const char *at = strstr(text, "\"brokerEpoch\":");
    if (at != NULL)
        *broker_epoch = strtoll(at + 14, NULL, 10);
    free(text);
    o = checked_path(path, dir, CLEAN_NAME);
    if (o == OUT_OK && log_io_kernel.unlink(path) != 0)
        o = fail(outcome_of_errno(errno), "unlink %s", path);
    return o == OUT_OK ? io_sync_dir(&log_io_kernel, dir) : o;
}

enum outcome logdir_clean_write(const char *dir, int64_t broker_epoch)
{
    char text[64];
    int used =
        snprintf(text, sizeof text, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch);
    return logdir_file_write(dir, CLEAN_NAME, bytes_view(text, (size_t)used));
}
