/* SPDX-License-Identifier: MIT */
/* From the command line to a verb; the verbs that need no server. */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/message.h"
#include "cli/verbs.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_check_config(const struct cli_args *a)
{
    struct config *c;
    if (a->word_count != 1) {
        fprintf(stderr, "Usage: fluxmq check-config FILE\n");
        return CLI_USAGE;
    }
    if (config_read_file(a->words[0], &c) != OUT_OK) {
        fprintf(stderr, "fluxmq: %s\n", outcome_trail());
        return CLI_FAILED;
    }
    if (c->warning[0] != '\0')
        printf("%s\n", c->warning);
    printf("%s: good\n", a->words[0]);
    config_free(c);
    return CLI_DONE;
}

static int no_verb(const char *name)
{
    fprintf(stderr, "fluxmq: there is no verb %s; fluxmq help lists them\n", name);
    return CLI_USAGE;
}

int cli_help(const struct cli_args *a)
{
    if (a->word_count == 0) {
        cli_print_verbs();
        return CLI_DONE;
    }
    const struct cli_verb *verb = cli_verb(a->words[0]);
    if (verb == NULL)
        return no_verb(a->words[0]);
    cli_print_help(verb);
    return CLI_DONE;
}

bool cli_asked(int argc, char **argv)
{
    return argc > 1 && argv[1][0] != '-';
}

int cli_main(int argc, char **argv)
{
    const struct cli_verb *verb = cli_verb(argv[1]);
    struct cli_args a;
    if (verb == NULL)
        return no_verb(argv[1]);
    if (cli_parse(verb, argc - 2, (const char *const *)argv + 2, &a) != OUT_OK) {
        fprintf(stderr, "fluxmq %s: %s; see fluxmq %s --help\n", verb->name, outcome_trail(),
                verb->name);
        return CLI_USAGE;
    }
    if (a.help) {
        cli_print_help(verb);
        return CLI_DONE;
    }
    cli_signals();
    int code = verb->run(&a);
    errno = 0;
    if (fflush(stdout) != 0 && code == CLI_DONE) {
        fprintf(stderr, "fluxmq %s: write the output: %s\n", verb->name, strerror(errno));
        return CLI_FAILED;
    }
    return code;
}
