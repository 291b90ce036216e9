/* SPDX-License-Identifier: MIT */
/* How many connections each client address has: for max.connections.per.ip. One lock, taken twice
 * in a connection's life. */
#include "net/private.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS 1024

struct address {
    struct address *next;
    int count;
    char text[OS_ADDRESS_SIZE];
};

struct address_table {
    pthread_mutex_t lock;
    struct address *slots[SLOTS];
};

struct address_table *addresses_new(void)
{
    struct address_table *t = calloc(1, sizeof *t);
    if (t != NULL)
        pthread_mutex_init(&t->lock, NULL);
    return t;
}

void addresses_free(struct address_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++) {
        while (t->slots[i] != NULL) {
            struct address *a = t->slots[i];
            t->slots[i] = a->next;
            free(a);
        }
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct address **find(struct address_table *t, const char *text)
{
    struct address **at = &t->slots[bytes_hash(bytes_of(text)) % SLOTS];
    while (*at != NULL && strcmp((*at)->text, text) != 0)
        at = &(*at)->next;
    return at;
}

bool addresses_enter(struct address_table *t, const char *address, int most)
{
    pthread_mutex_lock(&t->lock);
    struct address **at = find(t, address);
    bool room = true;
    if (*at == NULL && most > 0) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL)
            memcpy((*at)->text, address, OS_ADDRESS_SIZE);
    }
    if (*at == NULL || (*at)->count >= most)
        room = false;
    else
        (*at)->count++;
    pthread_mutex_unlock(&t->lock);
    return room;
}

void addresses_leave(struct address_table *t, const char *address)
{
    pthread_mutex_lock(&t->lock);
    struct address **at = find(t, address);
    check(*at != NULL && (*at)->count > 0);
    if (--(*at)->count == 0) {
        struct address *gone = *at;
        *at = gone->next;
        free(gone);
    }
    pthread_mutex_unlock(&t->lock);
}
