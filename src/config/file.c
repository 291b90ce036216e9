/* SPDX-License-Identifier: MIT */
/*
 * Kafka's server.properties: `key = value`, `key: value` or `key value`, # and ! comments,
 * backslash continuation and escapes. An unknown key is an error with file, line and the
 * nearest known name; keys that only mean something inside Kafka are named in one warning line.
 */
#include "config/private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct config *config;
    const char *path;
    int line;
    char internal[1024]; /* keys of Kafka's internals, comma separated */
};

/* Takes escapes out of text in place: \n \r \t \f \\ and \<anything> for itself. */
static void unescape(char *text)
{
    static const char letters[] = "nrtf", meant[] = "\n\r\t\f";
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\\' && from[1] != '\0') {
            from++;
            const char *letter = strchr(letters, *from);
            *to++ = letter == NULL ? *from : meant[letter - letters];
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* Cuts "key = value" into its two parts. */
static void split(char *text, char **key, char **value)
{
    while (isspace((unsigned char)*text))
        text++;
    *key = text;
    while (*text != '\0' && *text != '=' && *text != ':' && !isspace((unsigned char)*text))
        text += *text == '\\' && text[1] != '\0' ? 2 : 1;
    char *end = text;
    while (isspace((unsigned char)*text))
        text++;
    if (*text == '=' || *text == ':')
        text++;
    while (isspace((unsigned char)*text))
        text++;
    *end = '\0';
    *value = text;
    for (end = text + strlen(text); end > text && isspace((unsigned char)end[-1]); end--)
        end[-1] = '\0';
    unescape(*key);
    unescape(*value);
}

static bool is_comment(const char *line)
{
    line += strspn(line, " \t\f");
    return *line == '#' || *line == '!';
}

static enum outcome take(struct reader *r, char *text)
{
    char *key, *value;
    if (is_comment(text))
        return OUT_OK;
    split(text, &key, &value);
    if (key[0] == '\0')
        return OUT_OK;
    const struct config_row *row = config_row(CONFIG_BROKER, bytes_of(key));
    if (row == NULL)
        return fail(OUT_NOT_FOUND, "%s:%d: unknown setting %s; did you mean %s?", r->path, r->line,
                    key, config_nearest(key));
    if (row->internal) {
        size_t used = strlen(r->internal);
        snprintf(r->internal + used, sizeof r->internal - used, "%s%s", used > 0 ? ", " : "", key);
    }
    enum outcome o = config_set(r->config, key, value, RANK_FILE);
    return o == OUT_OK ? o : outcome_add(o, "%s:%d", r->path, r->line);
}

/* Whether the line ends with an odd number of backslashes. */
static bool continues(const char *line, size_t size)
{
    size_t slashes = 0;
    while (slashes < size && line[size - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 1;
}

static enum outcome read_lines(struct reader *r, FILE *f)
{
    char *line = NULL, whole[16384] = "";
    size_t room = 0, used = 0;
    int number = 0;
    ssize_t size;
    enum outcome o = OUT_OK;
    while (o == OUT_OK && (size = getline(&line, &room, f)) >= 0) {
        number++;
        if (used == 0)
            r->line = number;
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            line[--size] = '\0';
        const char *at = line;
        while (used > 0 && isspace((unsigned char)*at))
            at++;
        size = (ssize_t)strlen(at);
        bool more = continues(at, (size_t)size) && (used > 0 || !is_comment(line));
        if (used + (size_t)size + 1 >= sizeof whole) {
            o = fail(OUT_TOO_LARGE, "%s:%d: the line is longer than %zu bytes", r->path, r->line,
                     sizeof whole);
            break;
        }
        memcpy(whole + used, at, (size_t)size + 1);
        used += (size_t)size - more;
        whole[used] = '\0';
        if (!more) {
            o = take(r, whole);
            used = 0;
        }
    }
    if (o == OUT_OK && ferror(f))
        o = fail(OUT_IO, "read the configuration file %s", r->path);
    if (o == OUT_OK && used > 0)
        o = take(r, whole);
    free(line);
    return o;
}

enum outcome config_file(struct config *c, const char *path)
{
    struct reader r = {.config = c, .path = path};
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return fail(outcome_of_errno(errno), "open the configuration file %s", path);
    errno = 0;
    enum outcome o = read_lines(&r, f);
    fclose(f);
    if (o == OUT_OK && r.internal[0] != '\0')
        snprintf(c->warning, sizeof c->warning,
                 "%.128s: these settings mean nothing outside Kafka itself: %s", path, r.internal);
    c->file_given = true;
    if (c->path != path)
        snprintf(c->path, sizeof c->path, "%s", path);
    return o;
}
