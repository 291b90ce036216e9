/* SPDX-License-Identifier: MIT */
/* Command lines of verbs (private to cli/). */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/outcome.h"

#include <errno.h>

/* A failure that is not the kernel's: without the text of an errno that was left behind. */
#define cli_fail(o, ...) (errno = 0, fail((o), __VA_ARGS__))

enum cli_option {
#define OPTION(name, option, letter, value, verbs, help) CLI_##name,
#include "cli/option.def"
#undef OPTION
    CLI_OPTIONS
};

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_STOPPED = 130 };
#define CLI_WORDS_MAX 64

struct cli_args;

struct cli_verb {
    const char *name;
    int (*run)(const struct cli_args *a);
    const char *operands, *brief, *about;
};

struct cli_args {
    const struct cli_verb *verb;
    bool help;
    const char *values[CLI_OPTIONS];    /* NULL: not given; "": given and without a value */
    const char *words[CLI_WORDS_MAX];
    int word_count;
    const char *headers[CLI_WORDS_MAX]; /* --header, in order */
    int header_count;
};

const struct cli_verb *cli_verb(const char *name); /* NULL: there is none */

/* What comes after the verb. OUT_INVALID with a sentence for the user. */
MUST enum outcome cli_parse(const struct cli_verb *verb, int count, const char *const *words,
                            struct cli_args *a);
void cli_print_help(const struct cli_verb *verb);
void cli_print_verbs(void);

static inline bool cli_given(const struct cli_args *a, enum cli_option o)
{
    return a->values[o] != NULL;
}

/* Values; the default when the option was not given. OUT_INVALID with a sentence. */
MUST enum outcome cli_number(const struct cli_args *a, enum cli_option o, int64_t least,
                             int64_t standard, int64_t *value);
MUST enum outcome cli_duration(const struct cli_args *a, enum cli_option o, int64_t standard_ms,
                               int64_t *ms);
/* "30" (seconds), "250ms", "1m30s", "1.5h"; false: none of these, or more than a century. */
MUST bool cli_duration_parse(const char *text, int64_t *ms);

#endif
