/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the program: `fluxmq VERB ...` is a tool, talks to a server over its sockets, and
 * ends. verb.def lists verbs, option.def their options; help and manual page come from there.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

/* Whether the command line begins with a verb: without one the program is the server. */
bool cli_asked(int argc, char **argv);

/* Does it; the exit status: 0 done, 1 failed, 2 a wrong command line, 130 stopped by a signal. */
int cli_main(int argc, char **argv);

#endif
