/* SPDX-License-Identifier: MIT */
/*
 * ApiVersions: what is served, and the features of the cluster (KIP-35, KIP-511, KIP-584).
 *
 * An unsupported version never gets here: serve.c answers it in version 0 with error 35 and the one
 * row of ApiVersions itself, as Kafka does.
 */
#include "kafka/call.h"

#include <ctype.h>

/* KIP-511: letters, digits, '-' and '.', beginning and ending with a letter or digit. */
static bool software_text_good(struct bytes text)
{
    if (text.size == 0 || !isalnum(text.at[0]) || !isalnum(text.at[text.size - 1]))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!isalnum(text.at[i]) && text.at[i] != '-' && text.at[i] != '.')
            return false;
    }
    return true;
}

static void fill_keys(struct call *c, struct api_versions_response *out)
{
    size_t count;
    const struct api_row *row = api_rows(&count);
    out->api_keys = arena_array(c->arena, struct api_versions_response_api_keys, count);
    if (out->api_keys == NULL)
        return;
    out->api_keys_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        out->api_keys[i].api_key = row[i].key;
        out->api_keys[i].min_version = row[i].advertised_min;
        out->api_keys[i].max_version = row[i].version_max;
    }
}

static void fill_features(struct call *c, struct api_versions_response *out)
{
    const struct meta_image *image = broker_view()->image;
    size_t count = 0;
    const struct meta_supported_feature *supported = meta_supported_features(&count);
    out->supported_features =
        arena_array(c->arena, struct api_versions_response_supported_features, count);
    out->finalized_features = arena_array(
        c->arena, struct api_versions_response_finalized_features, image->feature_count);
    if (out->supported_features == NULL || out->finalized_features == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        /* Before version 4 a minimum of 0 would be taken as invalid by clients (KAFKA-17011). */
        if (c->version < 4 && supported[i].min == 0)
            continue;
        struct api_versions_response_supported_features *f =
            &out->supported_features[out->supported_features_count++];
        f->name = bytes_of(supported[i].name);
        f->min_version = supported[i].min;
        f->max_version = supported[i].max;
    }
    for (size_t i = 0; i < image->feature_count; i++) {
        struct api_versions_response_finalized_features *f = &out->finalized_features[i];
        f->name = image->features[i].name;
        f->max_version_level = image->features[i].level;
        f->min_version_level = image->features[i].level;
    }
    out->finalized_features_count = (int32_t)image->feature_count;
    out->finalized_features_epoch = image->features_epoch;
}

enum verdict api_versions_handle(struct call *c)
{
    const struct api_versions_request *in = c->in;
    struct api_versions_response *out = c->out;
    if (c->version >= 3 && (!software_text_good(in->client_software_name) ||
                            !software_text_good(in->client_software_version))) {
        out->error_code = KAFKA_INVALID_REQUEST;
        return REQ_DONE;
    }
    fill_keys(c, out);
    fill_features(c, out);
    return REQ_DONE;
}
