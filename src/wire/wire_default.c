/* SPDX-License-Identifier: MIT */
/* Defaults: every struct has a constant image of itself. */
#include "wire/wire_step.h"

void wire_defaults(const struct wire_message *m, void *out)
{
    memcpy(out, wire_programs[m->programs[0]].defaults, m->size);
}
