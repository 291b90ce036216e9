/* SPDX-License-Identifier: MIT */
/* Verbs and options: the tables, parsing, help. */
#include "cli/args.h"

#include "cli/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CENTURY_MS (100ll * 366 * 86400 * 1000)

static const struct cli_verb verbs[] = {
#define VERB(name, function, operands, brief, about) \
    {name, cli_##function, operands, brief, about},
#include "cli/verb.def"
#undef VERB
};

static const struct option {
    const char *name, *letter, *value, *verbs, *help;
} options[] = {
#define OPTION(name, option, letter, value, verbs, help) {option, letter, value, verbs, help},
#include "cli/option.def"
#undef OPTION
};

const struct cli_verb *cli_verb(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* Whether the verb is one of those in a list with blanks. */
static bool knows(const struct option *o, const struct cli_verb *verb)
{
    size_t size = strlen(verb->name);
    for (const char *at = o->verbs; (at = strstr(at, verb->name)) != NULL; at += size) {
        if ((at == o->verbs || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
            return true;
    }
    return false;
}

static int find(const struct cli_verb *verb, const char *word, size_t size)
{
    for (int i = 0; i < CLI_OPTIONS; i++) {
        const struct option *o = &options[i];
        bool named = strlen(o->name) == size && memcmp(o->name, word, size) == 0;
        bool lettered = o->letter != NULL && size == 2 && memcmp(o->letter, word, 2) == 0;
        if ((named || lettered) && knows(o, verb))
            return i;
    }
    return -1;
}

static enum outcome keep(struct cli_args *a, int option, const char *value)
{
    a->values[option] = value;
    if (option != CLI_header)
        return OUT_OK;
    if (a->header_count == CLI_WORDS_MAX)
        return cli_fail(OUT_INVALID, "more than %d headers", CLI_WORDS_MAX);
    a->headers[a->header_count++] = value;
    return OUT_OK;
}

/* One option, at words[*i], and its value, which may be the next word. */
static enum outcome take_option(struct cli_args *a, int count, const char *const *words, int *i)
{
    const char *word = words[*i], *equals = strchr(word, '=');
    size_t size = equals == NULL ? strlen(word) : (size_t)(equals - word);
    int option = find(a->verb, word, size);
    if (option < 0)
        return cli_fail(OUT_INVALID, "unknown option %s", word);
    if (options[option].value == NULL) {
        if (equals != NULL)
            return cli_fail(OUT_INVALID, "%s takes no value", options[option].name);
        return keep(a, option, "");
    }
    if (equals != NULL)
        return keep(a, option, equals + 1);
    if (*i + 1 == count)
        return cli_fail(OUT_INVALID, "%s needs a value: %s", word, options[option].value);
    return keep(a, option, words[++*i]);
}

enum outcome cli_parse(const struct cli_verb *verb, int count, const char *const *words,
                       struct cli_args *a)
{
    bool options_end = false;
    *a = (struct cli_args){.verb = verb};
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (!options_end && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            a->help = true;
        } else if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
        } else if (!options_end && word[0] == '-' && word[1] != '\0') {
            enum outcome o = take_option(a, count, words, &i);
            if (o != OUT_OK)
                return o;
        } else if (a->word_count == CLI_WORDS_MAX) {
            return cli_fail(OUT_INVALID, "more than %d words", CLI_WORDS_MAX);
        } else {
            a->words[a->word_count++] = word;
        }
    }
    return OUT_OK;
}

/* ---- values ---- */

enum outcome cli_number(const struct cli_args *a, enum cli_option o, int64_t least,
                        int64_t standard, int64_t *value)
{
    const char *text = a->values[o];
    char *end;
    *value = standard;
    if (text == NULL)
        return OUT_OK;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || n < least) {
        errno = 0;
        return cli_fail(OUT_INVALID, "%s %s: a whole number from %lld on is wanted",
                        options[o].name, text, (long long)least);
    }
    *value = n;
    return OUT_OK;
}

static int64_t unit_ms(const char **at)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t size = strlen(units[i].name);
        if (strncmp(*at, units[i].name, size) == 0) {
            *at += size;
            return units[i].ms;
        }
    }
    return 0;
}

bool cli_duration_parse(const char *text, int64_t *ms)
{
    const char *at = text;
    double sum = 0;
    if (*at == '\0')
        return false;
    if (strspn(at, "0123456789") == strlen(at) && strlen(at) < 12) {
        sum = strtod(at, NULL) * 1000;
        at += strlen(at);
    }
    while (*at != '\0') {
        char *end;
        if (strspn(at, "0123456789.") == 0)
            return false;
        double n = strtod(at, &end);
        if (end == at || end > at + strspn(at, "0123456789."))
            return false;
        at = end;
        int64_t unit = unit_ms(&at);
        if (unit == 0)
            return false;
        sum += n * (double)unit;
    }
    if (sum > (double)CENTURY_MS)
        return false;
    *ms = (int64_t)(sum + 0.5);
    return true;
}

enum outcome cli_duration(const struct cli_args *a, enum cli_option o, int64_t standard_ms,
                          int64_t *ms)
{
    *ms = standard_ms;
    if (a->values[o] == NULL || cli_duration_parse(a->values[o], ms))
        return OUT_OK;
    return cli_fail(OUT_INVALID, "%s %s: a duration is wanted: 30 (seconds), 250ms, 1m30s",
                options[o].name, a->values[o]);
}

/* ---- help ---- */

#define WIDTH 79

/* A paragraph, wrapped. */
static void print_text(const char *text)
{
    size_t used = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        if (used > 0 && used + 1 + size > WIDTH) {
            putchar('\n');
            used = 0;
        }
        used += (size_t)printf("%s%.*s", used > 0 ? " " : "", (int)size, text);
        text += size + (text[size] == ' ');
    }
    putchar('\n');
}

void cli_print_help(const struct cli_verb *verb)
{
    printf("Usage: fluxmq %s [OPTION]...%s%s\n\n", verb->name, verb->operands[0] == '\0' ? "" : " ",
           verb->operands);
    print_text(verb->about);
    putchar('\n');
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const struct option *o = &options[i];
        char left[64];
        if (!knows(o, verb))
            continue;
        snprintf(left, sizeof left, "%s%s%s%s%s", o->letter == NULL ? "    " : o->letter,
                 o->letter == NULL ? "" : ", ", o->name, o->value == NULL ? "" : " ",
                 o->value == NULL ? "" : o->value);
        printf("  %-28s %s\n", left, o->help);
    }
    printf("  %-28s %s\n", "-h, --help", "print this");
}

void cli_print_verbs(void)
{
    printf("Usage: fluxmq [OPTION]...       the server; fluxmq --help lists its options\n"
           "       fluxmq VERB ...          a tool\n\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        printf("  %-14s %s\n", verbs[i].name, verbs[i].brief);
    printf("\nfluxmq VERB --help tells about one. Exit status: 0 done, 1 failed, 2 a wrong\n"
           "command line, 130 stopped by a signal before it was done.\n");
}
