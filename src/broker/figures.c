/* SPDX-License-Identifier: MIT */
/* What is stored, for metrics: counted by the control thread, whose view it is, when somebody
 * asks. */
#include "broker/private.h"

#include <sys/statvfs.h>

struct ask {
    struct mail mail;
    struct broker *broker;
    struct broker_figures *figures;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
};

static void count_stored(struct broker *b, struct broker_figures *f)
{
    *f = (struct broker_figures){.topics = (int64_t)b->view->topic_count, .free_bytes = -1};
    for (size_t i = 0; i < b->view->topic_count; i++) {
        const struct topic *t = b->view->topics[i];
        f->partitions += t->partition_count;
        for (int32_t k = 0; k < t->partition_count; k++) {
            struct store_stat stat;
            if (t->partitions[k] == NULL) {
                f->offline++;
                continue;
            }
            store_stat(t->partitions[k]->store, &stat);
            f->messages += stat.end_offset - stat.start_offset;
            f->bytes += stat.size_bytes;
            f->offline += stat.offline;
        }
    }
    unsigned long seen[CONFIG_LOG_DIRS];
    int count = 0;
    for (int i = 0; i < b->data_dir_count; i++) {
        struct statvfs space;
        if (atomic_load(&b->dirs[i].offline) || statvfs(b->dirs[i].path, &space) != 0)
            continue;
        bool again = false; /* two directories of one file system */
        for (int k = 0; k < count; k++)
            again |= seen[k] == space.f_fsid;
        if (!again)
            f->free_bytes = MAX(f->free_bytes, 0) + (int64_t)(space.f_bavail * space.f_frsize);
        if (!again)
            seen[count++] = space.f_fsid;
    }
}

static void answer(struct mail *mail)
{
    struct ask *a = container_of(mail, struct ask, mail);
    count_stored(a->broker, a->figures);
    pthread_mutex_lock(&a->lock);
    a->done = true;
    pthread_cond_signal(&a->answered);
    pthread_mutex_unlock(&a->lock);
}

void broker_figures(struct broker *b, struct broker_figures *f)
{
    struct ask a = {.mail.deliver = answer, .broker = b, .figures = f};
    pthread_mutex_init(&a.lock, NULL);
    pthread_cond_init(&a.answered, NULL);
    shard_post(&b->control, &a.mail);
    pthread_mutex_lock(&a.lock);
    while (!a.done)
        pthread_cond_wait(&a.answered, &a.lock);
    pthread_mutex_unlock(&a.lock);
    pthread_cond_destroy(&a.answered);
    pthread_mutex_destroy(&a.lock);
}
