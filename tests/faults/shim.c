/* SPDX-License-Identifier: MIT */
/*
 * A disk and a heap that fail on demand: preloaded into the broker by run.py.
 *
 * What fails is said in a file that both map (FAULTS_FILE): a few 32-bit numbers, see struct
 * faults. Only files are touched whose path has "/data/" in it: logs and sockets stay well.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct faults {
    _Atomic uint32_t sync_fails;    /* flushes answer EIO */
    _Atomic uint32_t write_fails;   /* writes answer ENOSPC (1), or this errno */
    _Atomic uint32_t write_short;   /* writes take only that many bytes, 0: all */
    /* one in that many allocations of 64 bytes or more fails, 0: none */
    _Atomic uint32_t alloc_every;
    _Atomic uint32_t syncs, writes, allocs; /* how many were made to fail */
    _Atomic uint32_t alloc_count;
    _Atomic uint32_t all_sync_fails; /* flushes of a whole file system answer EIO, no others */
    char pad[256 - 9 * sizeof(uint32_t)];
    char only[256]; /* files whose path has this in it; empty: "/data/" */
};

static struct faults none;
static struct faults *faults = &none;

__attribute__((constructor)) static void shim_start(void)
{
    const char *path = getenv("FAULTS_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        faults = at;
}

static int is_data(int fd)
{
    char link[64], path[PATH_MAX];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (size < 0)
        return 0;
    path[size] = 0;
    return strstr(path, faults->only[0] != 0 ? faults->only : "/data/") != NULL;
}

static int sync_fails(int fd)
{
    if (!faults->sync_fails || !is_data(fd))
        return 0;
    faults->syncs++;
    errno = EIO;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd)
{
    return sync_fails(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return sync_fails(fd) ? -1 : REAL(fdatasync)(fd);
}

/* Called on the directory itself. */
int syncfs(int fd)
{
    if (!faults->all_sync_fails)
        return REAL(syncfs)(fd);
    faults->syncs++;
    errno = EIO;
    return -1;
}

/* -1: the write fails; else how many of the bytes it may take. */
static ssize_t allowed(int fd, size_t size)
{
    if ((!faults->write_fails && !faults->write_short) || !is_data(fd))
        return (ssize_t)size;
    faults->writes++;
    if (faults->write_fails) {
        errno = faults->write_fails == 1 ? ENOSPC : (int)faults->write_fails;
        return -1;
    }
    return size > faults->write_short ? (ssize_t)faults->write_short : (ssize_t)size;
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t room = allowed(fd, size);
    return room < 0 ? -1 : REAL(write)(fd, data, (size_t)room);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t room = allowed(fd, size);
    return room < 0 ? -1 : REAL(pwrite)(fd, data, (size_t)room, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    ssize_t room = allowed(fd, size);
    return room < 0 ? -1 : REAL(pwrite64)(fd, data, (size_t)room, at);
}

/* A short gathered write takes a part of its first piece. */
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    ssize_t room = allowed(fd, size);
    if (room < 0)
        return -1;
    if ((size_t)room == size)
        return REAL(pwritev)(fd, pieces, count, at);
    size_t first = pieces[0].iov_len < (size_t)room ? pieces[0].iov_len : (size_t)room;
    return REAL(pwrite)(fd, pieces[0].iov_base, first, at);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t at)
{
    return pwritev(fd, pieces, count, at);
}

static int alloc_fails(size_t size)
{
    if (!faults->alloc_every || size < 64 || ++faults->alloc_count % faults->alloc_every)
        return 0;
    faults->allocs++;
    errno = ENOMEM;
    return 1;
}

/* dlsym itself may allocate, so the C library's own names are used here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return alloc_fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return alloc_fails(size * count) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return alloc_fails(size) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return alloc_fails(size) ? NULL : __libc_memalign(alignment, size);
}
