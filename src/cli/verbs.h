/* SPDX-License-Identifier: MIT */
/* The verbs' functions (private to cli/): each returns the exit status. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

struct cli_args;

#define VERB(name, function, operands, brief, about) int cli_##function(const struct cli_args *a);
#include "cli/verb.def"
#undef VERB

#endif
