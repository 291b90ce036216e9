/* SPDX-License-Identifier: MIT */
/*
 * Records that mean nothing to an image but must survive in snapshots: they are kept as they came,
 * in the order of their arrival. Where the type is known, a later record replaces or removes an
 * earlier one of the same key, so that the list does not grow with history; of types that nobody
 * knows yet every record stays.
 */
#include "meta/image.h"

#include "wire/messages.h"

#include <stdlib.h>

static void drop(struct meta_kept *k)
{
    if (atomic_fetch_sub_explicit(&k->holds, 1, memory_order_acq_rel) == 1)
        free(k);
}

void kept_fini(struct meta_image *i)
{
    for (size_t k = 0; k < i->kept_count; k++)
        drop(i->kept[k]);
    free(i->kept);
    i->kept = NULL;
    i->kept_count = 0;
}

bool kept_share(struct meta_image *d, const struct meta_image *from)
{
    d->kept = malloc((from->kept_count + 1) * sizeof(struct meta_kept *));
    if (d->kept == NULL)
        return false;
    for (size_t i = 0; i < from->kept_count; i++) {
        d->kept[i] = from->kept[i];
        atomic_fetch_add_explicit(&d->kept[i]->holds, 1, memory_order_relaxed);
    }
    d->kept_count = from->kept_count;
    return true;
}

/* ---- keys ---- */

/* How a record is kept. */
struct rule {
    uint32_t type; /* it is listed under; a removal names the type that it removes */
    bool remove;
    struct bytes key;
};

static void key_put(struct bytes *key, uint8_t *room, struct bytes part)
{
    uint8_t *at = room + key->size;
    put_be32(at, part.at == NULL ? UINT32_MAX : (uint32_t)part.size);
    if (part.size > 0)
        memcpy(at + 4, part.at, part.size);
    key->size += 4 + part.size;
}

static bool key_of(struct rule *rule, struct arena *scratch, const struct bytes *parts,
                   size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += 4 + parts[i].size;
    uint8_t *room = arena_take(scratch, size);
    rule->key = (struct bytes){room, 0};
    for (size_t i = 0; room != NULL && i < count; i++)
        key_put(&rule->key, room, parts[i]);
    return room != NULL;
}

static bool quota_rule(struct rule *rule, const struct client_quota_record *r,
                       struct arena *scratch)
{
    size_t count = (size_t)MAX(r->entity_count, 0);
    struct bytes *parts = arena_array(scratch, struct bytes, 2 * count + 1);
    if (parts == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        parts[2 * i] = r->entity[i].entity_type;
        parts[2 * i + 1] = r->entity[i].entity_name;
    }
    parts[2 * count] = r->key;
    rule->remove = r->remove;
    return key_of(rule, scratch, parts, 2 * count + 1);
}

static bool credential_rule(struct rule *rule, struct bytes name, const int8_t *mechanism,
                            struct arena *scratch)
{
    struct bytes parts[2] = {name, bytes_view(mechanism, 1)};
    rule->type = METADATA_USER_SCRAM_CREDENTIAL_RECORD;
    return key_of(rule, scratch, parts, 2);
}

static bool one_part_rule(struct rule *rule, uint32_t type, struct bytes part,
                          struct arena *scratch)
{
    rule->type = type;
    return key_of(rule, scratch, &part, 1);
}

/* False: out of memory. */
static bool rule_of(struct rule *rule, uint32_t type, const void *record, struct arena *scratch)
{
    *rule = (struct rule){.type = type};
    switch (record == NULL ? UINT32_MAX : type) {
    case METADATA_CLIENT_QUOTA_RECORD:
        return quota_rule(rule, record, scratch);
    case METADATA_USER_SCRAM_CREDENTIAL_RECORD: {
        const struct user_scram_credential_record *r = record;
        return credential_rule(rule, r->name, &r->mechanism, scratch);
    }
    case METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD: {
        const struct remove_user_scram_credential_record *r = record;
        rule->remove = true;
        return credential_rule(rule, r->name, &r->mechanism, scratch);
    }
    case METADATA_ACCESS_CONTROL_ENTRY_RECORD: {
        const struct access_control_entry_record *r = record;
        return one_part_rule(rule, type, bytes_view(r->id.b, sizeof r->id.b), scratch);
    }
    case METADATA_REMOVE_ACCESS_CONTROL_ENTRY_RECORD: {
        const struct remove_access_control_entry_record *r = record;
        rule->remove = true;
        return one_part_rule(rule, METADATA_ACCESS_CONTROL_ENTRY_RECORD,
                             bytes_view(r->id.b, sizeof r->id.b), scratch);
    }
    case METADATA_DELEGATION_TOKEN_RECORD:
        return one_part_rule(rule, type, ((const struct delegation_token_record *)record)->token_id,
                             scratch);
    case METADATA_REMOVE_DELEGATION_TOKEN_RECORD: {
        const struct remove_delegation_token_record *r = record;
        rule->remove = true;
        return one_part_rule(rule, METADATA_DELEGATION_TOKEN_RECORD, r->token_id, scratch);
    }
    case METADATA_REGISTER_CONTROLLER_RECORD: {
        const struct register_controller_record *r = record;
        return one_part_rule(rule, type, bytes_view(&r->controller_id, sizeof r->controller_id),
                             scratch);
    }
    case METADATA_ZK_MIGRATION_STATE_RECORD:
        return one_part_rule(rule, type, bytes_of(""), scratch);
    default:
        return true;
    }
}

/* ---- records ---- */

static struct meta_kept *kept_new(const struct rule *rule, uint64_t hash, struct bytes framed)
{
    struct meta_kept *k = malloc(sizeof *k + rule->key.size + framed.size + 1);
    if (k == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)(k + 1);
    *k = (struct meta_kept){.type = rule->type, .hash = hash, .key = {at, rule->key.size},
                            .framed = {at + rule->key.size, framed.size}};
    atomic_init(&k->holds, 1);
    if (rule->key.size > 0)
        memcpy(at, rule->key.at, rule->key.size);
    memcpy(at + rule->key.size, framed.at, framed.size);
    return k;
}

static bool is_of(const struct meta_kept *k, const struct rule *rule, uint64_t hash)
{
    return k->hash == hash && k->type == rule->type && bytes_equal(k->key, rule->key);
}

enum outcome apply_kept(struct meta_image *d, uint32_t type, const void *record,
                        struct bytes framed, struct arena *scratch)
{
    struct rule rule;
    if (!rule_of(&rule, type, record, scratch))
        return fail(OUT_NO_MEMORY, "keep a metadata record");
    bool keyed = rule.key.size > 0;
    uint64_t hash = keyed ? bytes_hash(rule.key) : 0;
    size_t at = 0;
    while (at < d->kept_count && !(keyed && is_of(d->kept[at], &rule, hash)))
        at++;
    if (rule.remove) {
        if (at == d->kept_count)
            return OUT_OK;
        drop(d->kept[at]);
        d->kept_count--;
        memmove(&d->kept[at], &d->kept[at + 1], (d->kept_count - at) * sizeof *d->kept);
        return OUT_OK;
    }
    struct meta_kept *k = kept_new(&rule, hash, framed);
    struct meta_kept **grown = realloc(d->kept, (d->kept_count + 2) * sizeof *grown);
    if (grown != NULL)
        d->kept = grown;
    if (k == NULL || grown == NULL) {
        free(k);
        return fail(OUT_NO_MEMORY, "keep a metadata record");
    }
    if (at < d->kept_count)
        drop(d->kept[at]);
    else
        d->kept_count++;
    d->kept[at] = k;
    return OUT_OK;
}
