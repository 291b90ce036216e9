/* SPDX-License-Identifier: MIT */
/*
 * Of producers whose transaction has not reached the partition: the least sequence that they tried
 * to begin with. A later batch must not be the first one, or what was refused for now, and is sent
 * again, would come behind it. In memory only; a bounded list, the oldest goes.
 */
#ifndef LOG_ATTEMPTS_H
#define LOG_ATTEMPTS_H

#include "base/bytes.h"

#define ATTEMPTS_MAX 256

struct attempt {
    int64_t id;
    int32_t epoch, sequence;
};

struct attempts {
    struct attempt *list;
    uint32_t count, room, oldest; /* once it is full the oldest is replaced */
};

void attempts_fini(struct attempts *a);
/* Out of memory: it is not noted. */
void attempts_note(struct attempts *a, int64_t id, int32_t epoch, int32_t sequence);
bool attempts_allow(const struct attempts *a, int64_t id, int32_t epoch, int32_t sequence);
void attempts_forget(struct attempts *a, int64_t id); /* it has begun */

#endif
