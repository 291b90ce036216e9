/* SPDX-License-Identifier: MIT */
/*
 * Counts what the broker asks of the kernel and of malloc: preloaded by run.py, which maps the same
 * file (BUDGET_FILE) and reads the counters, one 64-bit number for each row of CALLS.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* CALL(result, name, parameters, arguments): the order is that of run.py's names. */
#define CALLS(CALL)                                                                                \
    CALL(ssize_t, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags))         \
    CALL(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))                  \
    CALL(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))                           \
    CALL(ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n))                       \
    CALL(ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))            \
    CALL(ssize_t, send, (int fd, const void *from, size_t size, int flags),                        \
         (fd, from, size, flags))                                                                  \
    CALL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))            \
    CALL(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))                \
    CALL(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))                      \
    CALL(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at)) \
    CALL(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))       \
    CALL(ssize_t, sendfile, (int out, int in, off_t *at, size_t size), (out, in, at, size))        \
    CALL(int, fdatasync, (int fd), (fd))                                                           \
    CALL(int, fsync, (int fd), (fd))                                                               \
    CALL(int, epoll_wait, (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms))          \
    CALL(int, epoll_pwait2, (int fd, struct epoll_event *e, int n, const struct timespec *t,       \
                             const sigset_t *s), (fd, e, n, t, s))                                 \
    CALL(int, sync_file_range, (int fd, off64_t at, off64_t size, unsigned flags),                 \
         (fd, at, size, flags))                                                                    \
    CALL(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *e), (fd, what, of, e))

enum call {
#define NUMBER(result, name, parameters, arguments) CALL_##name,
    CALLS(NUMBER)
#undef NUMBER
    CALL_malloc,
    CALL_COUNT
};

static _Atomic uint64_t none[CALL_COUNT];
static _Atomic uint64_t *counts = none;

__attribute__((constructor)) static void shim_start(void)
{
    const char *path = getenv("BUDGET_FILE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        counts = at;
}

static void count(enum call call)
{
    atomic_fetch_add_explicit(&counts[call], 1, memory_order_relaxed);
}

#define COUNTED(result, name, parameters, arguments)                                               \
    result name parameters                                                                         \
    {                                                                                              \
        static __typeof__(&name) real;                                                             \
        count(CALL_##name);                                                                        \
        if (real == NULL)                                                                          \
            real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                     \
        return real arguments;                                                                     \
    }
CALLS(COUNTED)

/* The same calls by the names that programs with 64-bit file offsets use. */
ssize_t pread64(int fd, void *to, size_t size, off64_t at)
{
    return pread(fd, to, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    return pwrite(fd, from, size, at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
    return pwritev(fd, v, n, at);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t size)
{
    return sendfile(out, in, at, size);
}

/* dlsym itself may allocate, so the C library's own names are used here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t number, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    count(CALL_malloc);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(CALL_malloc);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    count(CALL_malloc);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count(CALL_malloc);
    return __libc_memalign(alignment, size);
}
