/* SPDX-License-Identifier: MIT */
/* Loading settings from words, environment and a file that is written for the case. */
#ifndef CONFIG_HELPER_H
#define CONFIG_HELPER_H

#include "config/config.h"
#include "tap.h"

#include <fcntl.h>

struct setup {
    const char *words[12];       /* after the program's name; "FILE" is replaced by the file */
    const char *environment[12];
    const char *file;            /* its text, NULL: none */
};

static char file_path[64];

static inline void write_file(const char *text)
{
    snprintf(file_path, sizeof file_path, "/tmp/fluxmq-config-XXXXXX");
    int fd = mkstemp(file_path);
    expect(fd >= 0);
    expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    expect(close(fd) == 0);
}

static inline enum outcome load(const struct setup *s, struct config **c)
{
    char *words[16] = {(char *)(uintptr_t)"fluxmq"}, *environment[16] = {0};
    int count = 1;
    enum config_action action;
    if (s->file != NULL)
        write_file(s->file);
    for (size_t i = 0; s->words[i] != NULL; i++) {
        bool file = strcmp(s->words[i], "FILE") == 0;
        words[count++] = file ? file_path : (char *)(uintptr_t)s->words[i];
    }
    for (size_t i = 0; s->environment[i] != NULL; i++)
        environment[i] = (char *)(uintptr_t)s->environment[i];
    enum outcome o = config_load(count, words, environment, c, &action);
    if (s->file != NULL)
        expect(unlink(file_path) == 0);
    if (o == OUT_OK)
        expect(action == CONFIG_RUN);
    return o;
}

static inline struct config *loaded(const struct setup *s)
{
    struct config *c;
    enum outcome o = load(s, &c);
    if (o != OUT_OK)
        printf("# %s\n", outcome_trail());
    expect_eq(o, OUT_OK);
    return c;
}

static inline struct config *from_file(const char *text)
{
    return loaded(&(struct setup){.words = {"--config", "FILE"}, .file = text});
}

/* Loading fails, and the sentence has `part` in it. */
static inline void expect_refused(const struct setup *s, enum outcome o, const char *part)
{
    struct config *c;
    expect_eq(load(s, &c), o);
    if (strstr(outcome_trail(), part) == NULL)
        printf("# %s\n", outcome_trail());
    expect(strstr(outcome_trail(), part) != NULL);
    expect(c == NULL);
}

static inline const char *text_of(const struct config *c, const char *name)
{
    const char *text = config_text(c, name, NULL);
    return text == NULL ? "(null)" : text;
}

static inline int source_of(const struct config *c, const char *name)
{
    enum config_source source;
    (void)config_text(c, name, &source);
    return (int)source;
}

#endif
