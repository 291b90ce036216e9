/* SPDX-License-Identifier: MIT */
/*
 * Offset checkpoints of a log directory ("0", count, lines "topic partition offset") and the list
 * of its partitions, from the names of its directories.
 */
#include "log/partition.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DELETE_TAIL "-delete"

static const char *const names[] = {
    [LOGDIR_RECOVERY_POINT] = "recovery-point-offset-checkpoint",
    [LOGDIR_LOG_START] = "log-start-offset-checkpoint",
    [LOGDIR_HIGH_WATERMARK] = "replication-offset-checkpoint",
    [LOGDIR_CLEANER] = "cleaner-offset-checkpoint",
};

static int by_partition(const void *a, const void *b)
{
    const struct logdir_offset *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static bool number(char **at, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(*at, &end, 10);
    bool good = end != *at && errno == 0;
    errno = 0;
    *at = end;
    return good;
}

/* One line; false when it is none. */
static bool take_line(char **at, struct logdir_offset *to)
{
    int64_t partition;
    *at += strspn(*at, "\n");
    size_t size = strcspn(*at, " \n");
    if (size == 0 || size >= sizeof to->topic || (*at)[size] != ' ')
        return false;
    memcpy(to->topic, *at, size);
    to->topic[size] = '\0';
    *at += size;
    if (!number(at, &partition) || partition < 0 || partition > INT32_MAX ||
        !number(at, &to->offset))
        return false;
    to->partition = (int32_t)partition;
    return true;
}

enum outcome logdir_offsets_read(const char *dir, enum logdir_checkpoint which,
                                 struct logdir_offset **list, size_t *count)
{
    char *text;
    size_t size;
    int64_t version = 0, lines = 0;
    *list = NULL;
    *count = 0;
    enum outcome o = logdir_file_read(dir, names[which], &text, &size);
    errno = 0;
    if (o != OUT_OK)
        return o == OUT_NOT_FOUND ? OUT_OK : o;
    if (size == 0) { /* Kafka creates the file empty, and fills it a minute later */
        free(text);
        return OUT_OK;
    }
    char *at = text;
    if (!number(&at, &version) || version != 0 || !number(&at, &lines) || lines < 0 ||
        (uint64_t)lines > size)
        o = fail(OUT_CORRUPT, "%s/%s: the heading is damaged", dir, names[which]);
    if (o == OUT_OK && (*list = calloc((size_t)lines + 1, sizeof **list)) == NULL)
        o = OUT_NO_MEMORY;
    for (int64_t i = 0; o == OUT_OK && i < lines; i++)
        if (!take_line(&at, &(*list)[i]))
            o = fail(OUT_CORRUPT, "%s/%s: line %" PRId64 " is damaged", dir, names[which], i + 3);
    free(text);
    if (o != OUT_OK) {
        free(*list);
        *list = NULL;
        return o;
    }
    *count = (size_t)lines;
    qsort(*list, *count, sizeof **list, by_partition);
    return OUT_OK;
}

enum outcome logdir_offsets_write(const char *dir, enum logdir_checkpoint which,
                                  const struct logdir_offset *list, size_t count)
{
    size_t room = 32 + count * (sizeof list->topic + 40);
    char *text = malloc(room);
    if (text == NULL)
        return OUT_NO_MEMORY;
    size_t used = (size_t)snprintf(text, room, "0\n%zu\n", count);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, room - used, "%s %" PRId32 " %" PRId64 "\n",
                                 list[i].topic, list[i].partition, list[i].offset);
    check(used < room);
    enum outcome o = logdir_file_write(dir, names[which], bytes_view(text, used));
    free(text);
    return o;
}

int64_t logdir_offset_of(const struct logdir_offset *list, size_t count, const char *topic,
                         int32_t partition, int64_t missing)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(list[middle].topic, topic);
        if (order == 0)
            order = (list[middle].partition > partition) - (list[middle].partition < partition);
        if (order == 0)
            return list[middle].offset;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return missing;
}

/* ---- partitions ---- */

static bool ends_with(const char *name, const char *tail)
{
    size_t size = strlen(name), tail_size = strlen(tail);
    return size > tail_size && strcmp(name + size - tail_size, tail) == 0;
}

/* "topic-partition"; false for anything else. */
static bool parse_name(const char *name, struct logdir_partition *p)
{
    const char *dash = strrchr(name, '-');
    if (dash == NULL || dash == name || (size_t)(dash - name) >= sizeof p->topic)
        return false;
    int64_t value = 0;
    for (const char *d = dash + 1; *d != '\0'; d++) {
        if (*d < '0' || *d > '9' || value > INT32_MAX / 10)
            return false;
        value = value * 10 + (*d - '0');
    }
    if (dash[1] == '\0' || (dash[1] == '0' && dash[2] != '\0') || value > INT32_MAX)
        return false;
    memcpy(p->topic, name, (size_t)(dash - name));
    p->topic[dash - name] = '\0';
    p->partition = (int32_t)value;
    return true;
}

static void read_topic_id(const char *dir, const char *name, struct uuid *id)
{
    char path[LOG_PATH_MAX], *text;
    size_t size;
    memset(id, 0, sizeof *id);
    int used = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (used < 0 || used >= LOG_PATH_MAX ||
        logdir_file_read(path, "partition.metadata", &text, &size) != OUT_OK)
        return;
    const char *at = strstr(text, "topic_id: ");
    if (at == NULL || !uuid_parse(bytes_view(at + 10, MIN(strlen(at + 10), 22)), id))
        memset(id, 0, sizeof *id);
    free(text);
}

static int by_name(const void *a, const void *b)
{
    const struct logdir_partition *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static enum outcome add_partition(struct logdir_partition **list, size_t *count,
                                  const struct logdir_partition *p)
{
    if ((*count & (*count - 1)) == 0) {
        size_t room = *count == 0 ? 1 : *count * 2;
        struct logdir_partition *more = realloc(*list, room * sizeof *more);
        if (more == NULL)
            return OUT_NO_MEMORY;
        *list = more;
    }
    (*list)[(*count)++] = *p;
    return OUT_OK;
}

enum outcome logdir_partitions(const char *dir, struct logdir_partition **list, size_t *count)
{
    char path[LOG_PATH_MAX];
    *list = NULL;
    *count = 0;
    DIR *d = opendir(dir);
    if (d == NULL)
        return fail(outcome_of_errno(errno), "open directory %s", dir);
    enum outcome o = OUT_OK;
    struct dirent *e;
    while (o == OUT_OK && (e = readdir(d)) != NULL) {
        struct logdir_partition p;
        if (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
            continue;
        if (ends_with(e->d_name, DELETE_TAIL)) {
            int used = snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            if (used > 0 && used < LOG_PATH_MAX)
                o = log_delete_finish(path);
        } else if (parse_name(e->d_name, &p)) {
            read_topic_id(dir, e->d_name, &p.topic_id);
            o = add_partition(list, count, &p);
        }
    }
    closedir(d);
    errno = 0;
    if (o != OUT_OK) {
        free(*list);
        *list = NULL;
        *count = 0;
        return o;
    }
    if (*count > 0)
        qsort(*list, *count, sizeof **list, by_name);
    return OUT_OK;
}

/* ---- deleting a partition ---- */

enum outcome log_delete_finish(const char *path)
{
    char file[LOG_PATH_MAX];
    DIR *d = opendir(path);
    if (d == NULL)
        return errno == ENOENT ? (errno = 0, OUT_OK)
                               : fail(outcome_of_errno(errno), "open directory %s", path);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        int used = snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.' && used > 0 && used < LOG_PATH_MAX)
            log_io_kernel.unlink(file);
    }
    closedir(d);
    errno = 0;
    return rmdir(path) == 0 || errno == ENOENT
               ? (errno = 0, OUT_OK)
               : fail(outcome_of_errno(errno), "remove directory %s", path);
}

enum outcome log_delete(struct log **log, char path[static LOG_PATH_MAX])
{
    static const char hex[] = "0123456789abcdef";
    const struct log_io *io = (*log)->io;
    struct uuid id = uuid_random();
    char text[33], old[LOG_PATH_MAX];
    for (size_t i = 0; i < sizeof id.b; i++) {
        text[2 * i] = hex[id.b[i] >> 4];
        text[2 * i + 1] = hex[id.b[i] & 15];
    }
    text[32] = '\0';
    memcpy(old, (*log)->path, strlen((*log)->path) + 1);
    /* A directory's name is at most 255 bytes: a long topic name is cut, as Kafka does. */
    const char *name = strrchr(old, '/');
    size_t name_at = name == NULL ? 0 : (size_t)(name - old) + 1;
    size_t keep = MIN(strlen(old + name_at), 255 - sizeof DELETE_TAIL - 33 + 1);
    int used =
        snprintf(path, LOG_PATH_MAX, "%.*s.%s" DELETE_TAIL, (int)(name_at + keep), old, text);
    enum outcome o = log_close(log, LOG_UNCLEAN);
    if (used < 0 || used >= LOG_PATH_MAX)
        return fail(OUT_TOO_LARGE, "the path %s is too long", old);
    if (o == OUT_OK && io->rename(old, path) != 0)
        o = fail(outcome_of_errno(errno), "rename %s", old);
    if (o != OUT_OK)
        return o;
    char *slash = strrchr(old, '/');
    if (slash == NULL)
        return io_sync_dir(io, ".");
    *slash = '\0';
    return io_sync_dir(io, slash == old ? "/" : old);
}
