/* SPDX-License-Identifier: MIT */
/* What the step machines of coordinators have in common: records that a step wants in its log. */
#ifndef BASE_STEP_H
#define BASE_STEP_H

#include "base/bytes.h"

struct step_record {
    struct step_record *next;
    struct bytes key, value; /* value null: a tombstone */
};

#endif
