/* SPDX-License-Identifier: MIT */
/* Who owns a data directory: meta.properties, and quorum-state, KRaft's vote of one. */
#include "meta/private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum outcome make_identity(struct meta *m)
{
    struct log_meta_properties *p = &m->properties;
    struct uuid cluster = uuid_random();
    char text[UUID_TEXT_SIZE];
    if (access(m->path, F_OK) == 0)
        return fail(OUT_INVALID, "the data directory %s has a metadata log but no meta.properties: "
                    "put that file back or choose another --data-dir", m->options.dir);
    errno = 0;
    if (strlen(m->options.cluster_id) >= sizeof p->cluster_id)
        return fail(OUT_INVALID, "the cluster id is longer than %zu characters",
                    sizeof p->cluster_id - 1);
    uuid_print(&cluster, text);
    *p = (struct log_meta_properties){.node_id = m->options.node_id, .version = 1};
    snprintf(p->cluster_id, sizeof p->cluster_id, "%s",
             m->options.cluster_id[0] == '\0' ? text : m->options.cluster_id);
    m->directory_id = uuid_random();
    uuid_print(&m->directory_id, p->directory_id);
    return logdir_meta_write(m->options.dir, p);
}

/* Kafka before 3.7 had no directory ids: it gets one, as a newer Kafka would give it. */
static enum outcome name_directory(struct meta *m)
{
    m->directory_id = uuid_random();
    uuid_print(&m->directory_id, m->properties.directory_id);
    return logdir_meta_write(m->options.dir, &m->properties);
}

enum outcome identify(struct meta *m)
{
    struct log_meta_properties *p = &m->properties;
    enum outcome o = logdir_meta_read(m->options.dir, p);
    if (o == OUT_NOT_FOUND)
        return make_identity(m);
    if (o != OUT_OK)
        return o;
    errno = 0;
    if (p->version != 1)
        return fail(OUT_UNSUPPORTED, "the data directory %s was written by a Kafka with ZooKeeper: "
                    "move that cluster to KRaft first", m->options.dir);
    if (p->node_id != m->options.node_id)
        return fail(OUT_INVALID, "the data directory %s belongs to broker %d, not %d: start with "
                    "--broker-id %d or choose another --data-dir", m->options.dir, p->node_id,
                    m->options.node_id, p->node_id);
    if (m->options.cluster_id[0] != '\0' && strcmp(p->cluster_id, m->options.cluster_id) != 0)
        return fail(OUT_INVALID, "the data directory %s belongs to cluster %s, not %s",
                    m->options.dir, p->cluster_id, m->options.cluster_id);
    if (p->directory_id[0] == '\0')
        return name_directory(m);
    if (!uuid_parse(bytes_of(p->directory_id), &m->directory_id))
        return fail(OUT_CORRUPT, "%s/meta.properties has no valid directory.id", m->options.dir);
    return OUT_OK;
}

enum outcome quorum_state_write(struct meta *m)
{
    char text[512];
    int32_t node = m->options.node_id;
    int size;
    if (m->quorum.version == 0)
        size = snprintf(text, sizeof text,
                        "{\"clusterId\":\"\",\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":-1,"
                        "\"appliedOffset\":0,\"currentVoters\":[{\"voterId\":%d}],"
                        "\"data_version\":0}",
                        node, m->epoch, node);
    else
        size = snprintf(text, sizeof text,
                        "{\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":-1,"
                        "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}",
                        node, m->epoch);
    return logdir_file_write(m->path, "quorum-state", bytes_view(text, (size_t)size));
}

/* 0 when there is none: the log's own epochs then count. */
int32_t quorum_state_epoch(const struct meta *m)
{
    static const char field[] = "\"leaderEpoch\":";
    char *text;
    size_t size;
    if (logdir_file_read(m->path, "quorum-state", &text, &size) != OUT_OK)
        return 0;
    const char *at = strstr(text, field);
    long epoch = at == NULL ? 0 : strtol(at + sizeof field - 1, NULL, 10);
    free(text);
    errno = 0;
    return epoch > 0 && epoch < INT32_MAX - 1 ? (int32_t)epoch : 0;
}
