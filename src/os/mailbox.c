/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes: a lock-free stack that the owner empties at once and turns around.
 *
 * A poster wakes the owner only if it may sleep: the owner sets `asleep` before it looks a last
 * time, the poster pushes before it looks at `asleep`, so one of them sees the other.
 */
#include "os/os.h"

#include "base/check.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum outcome mailbox_open(struct mailbox *m)
{
    atomic_init(&m->head, NULL);
    atomic_init(&m->asleep, false);
    m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return m->wake_fd < 0 ? fail(outcome_of_errno(errno), "make an event descriptor") : OUT_OK;
}

void mailbox_close(struct mailbox *m)
{
    if (m->wake_fd >= 0)
        close(m->wake_fd);
    m->wake_fd = -1;
}

void mailbox_post(struct mailbox *m, struct mail *mail)
{
    mail->next = atomic_load_explicit(&m->head, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->head, &mail->next, mail, memory_order_seq_cst,
                                                  memory_order_relaxed)) {
    }
    if (atomic_load(&m->asleep) && atomic_exchange(&m->asleep, false)) {
        uint64_t one = 1;
        ssize_t written = write(m->wake_fd, &one, sizeof one);
        check(written == (ssize_t)sizeof one || errno == EAGAIN);
    }
}

int mailbox_deliver(struct mailbox *m, int most)
{
    int count = 0;
    while (count < most && atomic_load_explicit(&m->head, memory_order_relaxed) != NULL) {
        struct mail *newest = atomic_exchange_explicit(&m->head, NULL, memory_order_acquire);
        struct mail *oldest = NULL;
        while (newest != NULL) {
            struct mail *next = newest->next;
            newest->next = oldest;
            oldest = newest;
            newest = next;
        }
        while (oldest != NULL) { /* a batch taken is delivered whole */
            struct mail *next = oldest->next;
            oldest->deliver(oldest);
            oldest = next;
            count++;
        }
    }
    return count;
}

bool mailbox_has(const struct mailbox *m)
{
    return atomic_load_explicit(&m->head, memory_order_relaxed) != NULL;
}

bool mailbox_sleep(struct mailbox *m)
{
    atomic_store(&m->asleep, true);
    if (atomic_load(&m->head) == NULL)
        return true;
    atomic_store(&m->asleep, false);
    return false;
}

void mailbox_awake(struct mailbox *m)
{
    atomic_store_explicit(&m->asleep, false, memory_order_relaxed);
}

void mailbox_wait(struct mailbox *m, int64_t wait_ns)
{
    struct pollfd wake = {.fd = m->wake_fd, .events = POLLIN};
    struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int ready = 0;
    if (mailbox_sleep(m))
        ready = ppoll(&wake, 1, wait_ns < 0 ? NULL : &wait, NULL);
    mailbox_awake(m);
    if (ready > 0)
        mailbox_woken(m);
}

void mailbox_woken(struct mailbox *m)
{
    uint64_t ignored;
    ssize_t got = read(m->wake_fd, &ignored, sizeof ignored);
    (void)got; /* EAGAIN: nobody wrote */
}
