/* SPDX-License-Identifier: MIT */
/*
 * The kernel's calls that the reactors need: clocks, sockets, the poller (epoll), mailboxes between
 * threads, limits. Files of a log are the business of log/.
 *
 * Descriptors are plain ints owned by the caller. Unless said otherwise a function may be called on
 * any thread and fails with a trail.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/bytes.h"
#include "base/outcome.h"

#include <stdatomic.h>
#include <sys/uio.h>

/* ---- clocks ---- */

int64_t os_now_ns(void);  /* monotonic */
int64_t os_wall_ms(void); /* since 1970, UTC */

/* ---- mailboxes ---- */

/* A message from one thread to another: embedded in what travels, handed over with it. */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *); /* runs on the receiving thread */
};

/* Many threads post, one takes. Posting never blocks and never fails: a mail is memory of its
 * sender, so what is bounded is what can be in flight (requests). */
struct mailbox {
    _Atomic(struct mail *) head; /* newest first */
    _Atomic bool asleep;         /* the owner may be in the poller */
    int wake_fd;                 /* eventfd, readable when somebody posted to a sleeper */
};

MUST enum outcome mailbox_open(struct mailbox *m);
void mailbox_close(struct mailbox *m);
void mailbox_post(struct mailbox *m, struct mail *mail);
/* Owner: delivers what is there, oldest first, at most `most`; returns how many. */
int mailbox_deliver(struct mailbox *m, int most);
/* Owner: before waiting. False when something is there already: do not wait then. */
MUST bool mailbox_sleep(struct mailbox *m);
/* Whether something is there. */
bool mailbox_has(const struct mailbox *m);
/* Owner: after waiting. */
void mailbox_awake(struct mailbox *m);
/* Owner: the poller says that wake_fd is readable; takes the signal away. */
void mailbox_woken(struct mailbox *m);
/* Owner without a poller: sleeps until somebody posts, at most `wait_ns` (-1: without limit). */
void mailbox_wait(struct mailbox *m, int64_t wait_ns);

/* ---- poller ---- */

/* ENDED: the peer will send no more (what it sent may still be unread). HANGUP: the connection is
 * dead in both directions; told without being asked for. ONCE asks for one event each time
 * something comes, whether it is taken away or not: enough for a mailbox. */
enum { OS_READABLE = 1, OS_WRITABLE = 2, OS_HANGUP = 4, OS_ENDED = 8, OS_ONCE = 16 };

struct os_event {
    void *context;
    unsigned what; /* OS_ bits */
};

MUST enum outcome os_poller_open(int *poller);
/* Level triggered but for OS_ONCE; `what` may be 0: only errors and hang-ups. */
MUST enum outcome os_poller_add(int poller, int fd, unsigned what, void *context);
void os_poller_change(int poller, int fd, unsigned what, void *context);
void os_poller_remove(int poller, int fd);
/* Waits up to `wait_ns` (-1: without limit); returns the number of events, 0 when interrupted. */
int os_poller_wait(int poller, struct os_event *events, int room, int64_t wait_ns);

/* A descriptor that is readable from a time on (of os_now_ns, above 0); for a poller, OS_ONCE. */
MUST enum outcome os_alarm_open(int *alarm);
void os_alarm_set(int alarm, int64_t deadline_ns);

/* ---- sockets: all non-blocking and close-on-exec ---- */

#define OS_ADDRESS_SIZE 64

/* Takes host:port (port 0: any; host "": all addresses of both families); *bound is the port it
 * got. Clients are refused until os_listen. OUT_IN_USE, OUT_NO_ACCESS, OUT_NOT_FOUND (no such
 * host). */
MUST enum outcome os_bind(const char *host, int port, int *fd, int *bound);
/* Lets clients in. OUT_IN_USE: another program that took the port at the same time was quicker. */
MUST enum outcome os_listen(int fd);
/* A waiting connection, TCP_NODELAY set, the peer's address as text (an IPv4 address as such even
 * on a socket of both families). OUT_AGAIN: none; OUT_NO_FILES; OUT_CLOSED: it went away again. */
MUST enum outcome os_accept(int listener, int *fd, char address[static OS_ADDRESS_SIZE]);

/* The port of a connection's peer; 0: unknown. */
int os_peer_port(int fd);

/* Bytes moved; OUT_AGAIN: none now; OUT_CLOSED: the peer is dead; OUT_END (receive only): the peer
 * sends no more; OUT_IO (files): the range can't be read. */
MUST enum outcome os_receive(int fd, void *to, size_t size, size_t *got);
MUST enum outcome os_send(int fd, const struct iovec *pieces, int count, bool more, size_t *sent);
MUST enum outcome os_send_file(int fd, int file, uint64_t position, size_t size, size_t *sent);
/* All of a file's range; OUT_IO. */
MUST enum outcome os_read_file(int file, uint64_t position, void *to, size_t size);
void os_close(int fd);
/* A descriptor for nothing, to be given up when one is needed badly; -1: none is left. */
int os_reserve(void);

/* ---- threads ---- */

struct os_thread;

/* Runs run(context) on a new thread that takes no signals (those are the main thread's). `name`: at
 * most 15 characters, for debuggers and top. OUT_NO_MEMORY. */
MUST enum outcome os_thread_start(const char *name, void (*run)(void *context), void *context,
                                  struct os_thread **thread);
/* Waits for its end and frees it; *thread becomes NULL. Nothing when it is NULL already. */
void os_thread_join(struct os_thread **thread);

/* Others may run first. */
void os_thread_yield(void);
int64_t os_thread_cpu_ns(void); /* of the calling thread */
/* The calling thread runs when no other of the machine wants to, and makes way at once. There may
 * be no way back: the kernel asks for a privilege. It must hold no lock that others wait for. */
void os_thread_lowest(void);
/* The calling thread gets less than its share when others want to run. */
void os_thread_nice(int nice);

/* ---- the process ---- */

/* Raises the limit of open files to what is allowed; returns what it is then. */
size_t os_files_limit(void);
size_t os_resident_bytes(void);
/* Once, before threads start: freed memory is kept for a while, since it is soon wanted again. */
void os_keep_memory(void);
/* Gives free memory of the heap back to the system. Takes milliseconds after a burst: when idle. */
void os_trim_memory(void);
void os_stop_self(void); /* as SIGTERM from outside: an orderly end */
int64_t os_cpu_ms(void); /* user and system time of the process */
int os_cores(void);      /* that this process may use, cgroup limits included */
/* A path from the root on, without "." and doubled slashes; links stay. False: it does not fit. */
MUST bool os_absolute(const char *path, char *to, size_t room);

#endif
