/* SPDX-License-Identifier: MIT */
/*
 * The kernel's file calls behind struct log_io, and loops around them: interrupted and short calls
 * go on, the first real error ends the loop and becomes an outcome.
 */
#include "log/io.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LEFT_ALONE 16 /* times as much must be free as is taken ahead */

static int kernel_open(const char *path, int flags, unsigned mode)
{
    return open(path, flags, mode);
}

static int kernel_write_back(int fd, off_t at, off_t size)
{
    return sync_file_range(fd, at, size, SYNC_FILE_RANGE_WRITE);
}

static int kernel_write_out(int fd, off_t at, off_t size)
{
    return sync_file_range(fd, at, size, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                             SYNC_FILE_RANGE_WAIT_AFTER);
}

static int kernel_allocate(int fd, off_t at, off_t size)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, at, size);
}

/* The last of a disk is for what is written, not for what may be. */
static int kernel_allocate_ahead(int fd, off_t at, off_t size)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) != 0)
        return -1;
    if (fs.f_bavail * fs.f_frsize / LEFT_ALONE < (uint64_t)size) {
        errno = ENOSPC;
        return -1;
    }
    return kernel_allocate(fd, at, size);
}

const struct log_io log_io_kernel = {
    .open = kernel_open,
    .close = close,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .ftruncate = ftruncate,
    .rename = rename,
    .unlink = unlink,
    .write_back = kernel_write_back,
    .write_out = kernel_write_out,
    .allocate = kernel_allocate,
    .allocate_ahead = kernel_allocate_ahead,
};

static int not_now(int fd)
{
    (void)fd;
    return 0;
}

const struct log_io io_synced_later = {
    .open = kernel_open,
    .close = close,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = not_now,
    .fsync = not_now,
    .ftruncate = ftruncate,
    .rename = rename,
    .unlink = unlink,
    .write_back = kernel_write_back,
    .write_out = kernel_write_out,
    .allocate = kernel_allocate,
    .allocate_ahead = kernel_allocate_ahead,
};

enum outcome io_open(const struct log_io *io, const char *path, int flags, int *fd)
{
    do
        *fd = io->open(path, flags | O_CLOEXEC, 0644);
    while (*fd < 0 && errno == EINTR);
    if (*fd >= 0)
        return OUT_OK;
    enum outcome o = outcome_of_errno(errno);
    return fail(o, "open %s", path);
}

void io_close(const struct log_io *io, int fd)
{
    if (fd >= 0)
        io->close(fd);
}

enum outcome io_write(const struct log_io *io, int fd, const void *from, size_t size, uint64_t at)
{
    const uint8_t *next = from;
    while (size > 0) {
        ssize_t put = io->pwrite(fd, next, size, (off_t)at);
        if (unlikely(put < 0 && errno == EINTR))
            continue;
        if (unlikely(put <= 0)) {
            enum outcome o = put == 0 ? OUT_NO_SPACE : outcome_of_errno(errno);
            return fail(o == OUT_NO_SPACE ? o : OUT_IO, "write %zu bytes at %llu", size,
                        (unsigned long long)at);
        }
        next += put;
        size -= (size_t)put;
        at += (size_t)put;
    }
    return OUT_OK;
}

enum outcome io_read(const struct log_io *io, int fd, void *to, size_t size, uint64_t at,
                     size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = io->pread(fd, (uint8_t *)to + *got, size - *got, (off_t)(at + *got));
        if (unlikely(n < 0 && errno == EINTR))
            continue;
        if (unlikely(n < 0))
            return fail(OUT_IO, "read %zu bytes at %llu", size, (unsigned long long)at);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return OUT_OK;
}

enum outcome io_size(int fd, uint64_t *size)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(OUT_IO, "fstat");
    *size = (uint64_t)st.st_size;
    return OUT_OK;
}

enum outcome io_sync_dir(const struct log_io *io, const char *path)
{
    int fd;
    enum outcome o = io_open(io, path, O_RDONLY | O_DIRECTORY, &fd);
    if (o != OUT_OK)
        return o;
    if (io->fsync(fd) != 0)
        o = fail(OUT_IO, "fsync directory %s", path);
    io->close(fd);
    return o;
}

enum outcome io_replace(const struct log_io *io, const char *path, const void *from, size_t size,
                        enum io_sync sync)
{
    int fd;
    enum outcome o = io_open(io, path, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    if (o != OUT_OK)
        return o;
    o = io_write(io, fd, from, size, 0);
    if (o == OUT_OK && sync == IO_SYNCED && io->fdatasync(fd) != 0)
        o = fail(OUT_IO, "fdatasync");
    io->close(fd);
    return o == OUT_OK ? o : outcome_add(o, "write %s", path);
}

enum outcome io_read_all(const struct log_io *io, const char *path, size_t limit, char **text,
                         size_t *size)
{
    int fd;
    uint64_t there = 0;
    char *to = NULL;
    *text = NULL;
    enum outcome o = io_open(io, path, O_RDONLY, &fd);
    if (o != OUT_OK)
        return o;
    o = io_size(fd, &there);
    if (o == OUT_OK && there > limit)
        o = fail(OUT_TOO_LARGE, "%s has %llu bytes", path, (unsigned long long)there);
    if (o == OUT_OK && (to = malloc(there + 1)) == NULL)
        o = OUT_NO_MEMORY;
    if (o == OUT_OK)
        o = io_read(io, fd, to, there, 0, size);
    io->close(fd);
    if (o != OUT_OK) {
        free(to);
        return outcome_add(o, "read %s", path);
    }
    to[*size] = '\0';
    *text = to;
    return OUT_OK;
}

void io_path(char to[static LOG_PATH_MAX], const char *dir, const char *name)
{
    int used = snprintf(to, LOG_PATH_MAX, "%s/%s", dir, name);
    check(used > 0 && used < LOG_PATH_MAX);
}
