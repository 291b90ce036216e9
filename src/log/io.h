/* SPDX-License-Identifier: MIT */
/* Whole reads and writes over struct log_io, with outcomes. */
#ifndef LOG_IO_H
#define LOG_IO_H

#include "log/log.h"

/* The kernel's calls, but for those that wait for the disk: see log_sync_later. */
extern const struct log_io io_synced_later;

/* Opens; *fd is -1 on failure. */
MUST enum outcome io_open(const struct log_io *io, const char *path, int flags, int *fd);
void io_close(const struct log_io *io, int fd); /* nothing when fd is -1 */

/* All of `size` bytes, else OUT_NO_SPACE, OUT_IO. */
MUST enum outcome io_write(const struct log_io *io, int fd, const void *from, size_t size,
                           uint64_t at);

/* Up to `size` bytes; *got is less only at the end of the file. */
MUST enum outcome io_read(const struct log_io *io, int fd, void *to, size_t size, uint64_t at,
                          size_t *got);
MUST enum outcome io_size(int fd, uint64_t *size);

/* fsync of a directory, by path. */
MUST enum outcome io_sync_dir(const struct log_io *io, const char *path);

/* Replaces the file's contents. sync: fdatasync before it returns. */
enum io_sync { IO_NOT_SYNCED, IO_SYNCED };
MUST enum outcome io_replace(const struct log_io *io, const char *path, const void *from,
                             size_t size, enum io_sync sync);

/* Reads a whole file of at most `limit` bytes into malloc'ed memory with a NUL behind it. */
MUST enum outcome io_read_all(const struct log_io *io, const char *path, size_t limit, char **text,
                              size_t *size);

/* DIR/NAME into `to`; the caller made sure that it fits (the directory was checked at open). */
void io_path(char to[static LOG_PATH_MAX], const char *dir, const char *name);

#endif
