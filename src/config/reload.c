/* SPDX-License-Identifier: MIT */
/*
 * Reading the file again while the program runs: the whole file is good, or nothing changes. What
 * needs a restart keeps its value and is named.
 */
#include "config/private.h"

#include <stdio.h>
#include <stdlib.h>

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void name_it(char *list, size_t room, const char *name)
{
    size_t used = strlen(list);
    snprintf(list + used, room - used, "%s%s", used > 0 ? ", " : "", name);
}

/* Everything but what the file said and what was changed by requests. */
static enum outcome copy_rest(const struct config *base, struct config *c)
{
    *c = *base;
    c->subjects = NULL;
    c->subject_count = 0;
    for (size_t i = 0; i < COUNT_OF(c->text); i++) {
        bool stays = base->text[i] != NULL && base->source[i] != RANK_FILE &&
                     base->source[i] < RANK_DYNAMIC_DEFAULT;
        c->text[i] = stays ? strdup(base->text[i]) : NULL;
        c->source[i] = stays ? base->source[i] : RANK_DEFAULT;
        if (stays && c->text[i] == NULL)
            return fail(OUT_NO_MEMORY, "read the settings again");
    }
    return OUT_OK;
}

static enum outcome restore(struct config *c, const struct config *base, size_t i)
{
    char *was = base->text[i] == NULL ? NULL : strdup(base->text[i]);
    if (was == NULL && base->text[i] != NULL)
        return fail(OUT_NO_MEMORY, "read the settings again");
    free(c->text[i]);
    c->text[i] = was;
    c->source[i] = base->source[i];
    return OUT_OK;
}

static enum outcome compare(struct config *c, const struct config *base, struct config_changes *d)
{
    size_t count;
    const struct config_row *rows = config_rows(CONFIG_BROKER, &count);
    for (size_t i = 0; i < count; i++) {
        const char *was = base->text[i] == NULL ? rows[i].standard : base->text[i];
        if (same(c->text[i] == NULL ? rows[i].standard : c->text[i], was))
            continue;
        bool restart = rows[i].mode == CONFIG_READ_ONLY;
        name_it(restart ? d->restart : d->applied, sizeof d->applied, rows[i].name);
        enum outcome o = restart ? restore(c, base, i) : OUT_OK;
        if (o != OUT_OK)
            return o;
    }
    return OUT_OK;
}

enum outcome config_reload(const struct config *base, struct config **out,
                           struct config_changes *changes)
{
    *changes = (struct config_changes){.applied = ""};
    *out = NULL;
    if (base->path[0] == '\0')
        return fail(OUT_NOT_FOUND, "there is no file of settings (--config)");
    struct config *c = malloc(sizeof *c);
    if (c == NULL)
        return fail(OUT_NO_MEMORY, "read the settings again");
    enum outcome o = copy_rest(base, c);
    if (o == OUT_OK)
        o = config_file(c, base->path);
    if (o == OUT_OK)
        o = config_own_defaults(c);
    if (o == OUT_OK)
        o = compare(c, base, changes);
    if (o == OUT_OK)
        o = config_settle(c);
    if (o == OUT_OK)
        *out = c;
    else
        config_free(c);
    return o;
}
