/* SPDX-License-Identifier: MIT */
/* Mailboxes: many posters, one owner; order, no lost wake-up, no wake-up that nobody needs. */
#include "os/os.h"
#include "tap.h"

#include "base/check.h"

#include <poll.h>

#define POSTERS 4
#define MAILS 50000

struct letter {
    struct mail mail;
    int poster, number;
};

struct poster {
    struct mailbox *to;
    struct letter *letters;
    int index;
    struct os_thread *thread;
};

static int received, next_of[POSTERS];

static void receive(struct mail *mail)
{
    struct letter *l = container_of(mail, struct letter, mail);
    expect_eq(l->number, next_of[l->poster]); /* each poster's mails keep their order */
    next_of[l->poster]++;
    received++;
}

static void post_all(void *context)
{
    struct poster *p = context;
    for (int i = 0; i < MAILS; i++) {
        p->letters[i] = (struct letter){.mail.deliver = receive, .poster = p->index, .number = i};
        mailbox_post(p->to, &p->letters[i].mail);
    }
}

/* The owner sleeps without a limit whenever it has nothing: a lost wake-up would hang the case. */
void test_nothing_is_lost_between_posters_and_a_sleeper(void)
{
    struct mailbox m;
    struct poster posters[POSTERS];
    expect(mailbox_open(&m) == OUT_OK);
    for (int i = 0; i < POSTERS; i++) {
        struct letter *letters = calloc(MAILS, sizeof *letters);
        posters[i] = (struct poster){.to = &m, .index = i, .letters = letters};
        expect(posters[i].letters != NULL);
        expect(os_thread_start("poster", post_all, &posters[i], &posters[i].thread) == OUT_OK);
    }
    while (received < POSTERS * MAILS) {
        mailbox_wait(&m, -1);
        mailbox_deliver(&m, 100);
    }
    for (int i = 0; i < POSTERS; i++) {
        os_thread_join(&posters[i].thread);
        expect(posters[i].thread == NULL);
        free(posters[i].letters);
    }
    mailbox_close(&m);
}

static bool signalled(const struct mailbox *m)
{
    struct pollfd p = {.fd = m->wake_fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void ignore(struct mail *mail)
{
    (void)mail;
}

void test_only_a_sleeper_is_woken_and_once(void)
{
    struct mailbox m;
    struct mail mails[4];
    for (int i = 0; i < 4; i++)
        mails[i].deliver = ignore;
    expect(mailbox_open(&m) == OUT_OK);
    mailbox_post(&m, &mails[0]);
    expect(!signalled(&m)); /* the owner is awake: it will look */
    expect(!mailbox_sleep(&m)); /* there is something */
    expect_eq(mailbox_deliver(&m, 10), 1);
    expect(mailbox_sleep(&m));
    mailbox_post(&m, &mails[1]);
    expect(signalled(&m));
    mailbox_awake(&m);
    mailbox_woken(&m);
    expect(!signalled(&m));
    mailbox_post(&m, &mails[2]);
    mailbox_post(&m, &mails[3]);
    expect(!signalled(&m));
    expect_eq(mailbox_deliver(&m, 10), 3);
    expect_eq(mailbox_deliver(&m, 10), 0);
    mailbox_close(&m);
}

void test_waiting_ends_at_its_limit(void)
{
    struct mailbox m;
    expect(mailbox_open(&m) == OUT_OK);
    int64_t from = os_now_ns();
    mailbox_wait(&m, 20000000);
    expect(os_now_ns() - from >= 20000000);
    struct mail mail = {.deliver = ignore};
    mailbox_post(&m, &mail);
    mailbox_wait(&m, -1); /* there is mail: no waiting */
    expect_eq(mailbox_deliver(&m, 1), 1);
    mailbox_close(&m);
}

struct again {
    struct mail mail;
    struct mailbox *m;
    int left;
};

static void post_again(struct mail *mail)
{
    struct again *a = container_of(mail, struct again, mail);
    if (--a->left > 0)
        mailbox_post(a->m, &a->mail);
}

void test_delivering_has_a_bound_even_if_mail_makes_mail(void)
{
    struct mailbox m;
    expect(mailbox_open(&m) == OUT_OK);
    struct again a = {.mail.deliver = post_again, .m = &m, .left = 100};
    mailbox_post(&m, &a.mail);
    expect_eq(mailbox_deliver(&m, 10), 10);
    expect_eq(mailbox_deliver(&m, 1000), 90);
    expect_eq(a.left, 0);
    mailbox_close(&m);
}
