/* SPDX-License-Identifier: MIT */
/* What the main thread waits for while the server runs. */
#ifndef MAIN_AWAIT_H
#define MAIN_AWAIT_H

#include <signal.h>

enum await_event { AWAIT_SIGNAL, AWAIT_FILE };

/* `file`: settings whose changes are looked for, "": none. */
struct await {
    int signals, changes;  /* descriptors, -1: none */
    char file[512], folder[512];
    long long mark[4];     /* of the file, as it was read: time, size, which */
};
void await_begin(struct await *a, const sigset_t *signals, const char *file);
/* AWAIT_SIGNAL: *which says which one. AWAIT_FILE: the file is another than before, and nothing has
 * touched its directory for a tenth of a second. */
enum await_event await_next(struct await *a, int *which);
void await_end(struct await *a);

#endif
