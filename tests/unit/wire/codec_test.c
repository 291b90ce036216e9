/* SPDX-License-Identifier: MIT */
/* What a caller of the codec relies on, beyond the golden bytes. */
#include "wire/messages.h"

#include "tap.h"

static struct arena arena;

static struct bytes encode(const struct wire_message *m, int version, const void *in)
{
    struct bytes out = {NULL, 0};
    expect_eq(wire_encode_new(m, version, in, &arena, &out), OUT_OK);
    return out;
}

static void begin(void)
{
    arena_init(&arena, MiB(1));
}

void test_strings_and_records_are_views_into_the_input(void)
{
    begin();
    struct produce_request_topic_data_partition_data partition = {
        .index = 3, .records = {.at = (const uint8_t *)"batch", .size = 5}};
    struct produce_request_topic_data topic = {
        .name = bytes_of("t"), .partition_data = &partition, .partition_data_count = 1};
    struct produce_request in = {.acks = -1, .topic_data = &topic, .topic_data_count = 1}, out;
    struct bytes raw = encode(&wire_produce_request, 9, &in);
    expect_eq(wire_decode(&wire_produce_request, 9, raw, &arena, &out, NULL), OUT_OK);
    struct wire_records r = out.topic_data[0].partition_data[0].records;
    expect(r.at > raw.at && r.at + r.size < raw.at + raw.size);
    expect(bytes_is(bytes_view(r.at, r.size), "batch"));
    expect(r.external == NULL);
    expect(bytes_is(out.topic_data[0].name, "t"));
    expect(out.transactional_id.at == NULL);
    arena_fini(&arena);
}

void test_fields_a_version_does_not_have_read_as_defaults(void)
{
    begin();
    struct fetch_request in, out;
    wire_defaults(&wire_fetch_request, &in);
    in.session_epoch = 5; /* from version 7 on */
    in.rack_id = bytes_of("rack");
    memset(&out, 255, sizeof out);
    struct bytes raw = encode(&wire_fetch_request, 4, &in);
    expect_eq(wire_decode(&wire_fetch_request, 4, raw, &arena, &out, NULL), OUT_OK);
    expect_eq(out.session_epoch, -1);
    expect_eq(out.rack_id.size, 0);
    expect_eq(out.forgotten_topics_data_count, 0);
    expect_eq(out.replica_state.replica_id, -1);
    arena_fini(&arena);
}

/* A response with three partitions: records elsewhere, records in memory, and elsewhere again. */
static struct fetch_response mixed_response(struct fetch_response_responses *topic,
                                            struct fetch_response_responses_partitions *p)
{
    static const char file_a, file_b;
    for (int i = 0; i < 3; i++)
        p[i] = (struct fetch_response_responses_partitions){
            .partition_index = i, .preferred_read_replica = -1,
            .diverging_epoch = {-1, -1}, .current_leader = {-1, -1}, .snapshot_id = {-1, -1}};
    p[0].records = (struct wire_records){.size = 100000, .external = &file_a};
    p[1].records = (struct wire_records){.at = (const uint8_t *)"inside", .size = 6};
    p[2].records = (struct wire_records){.size = 7, .external = &file_b};
    *topic = (struct fetch_response_responses){.partitions = p, .partitions_count = 3};
    return (struct fetch_response){.responses = topic, .responses_count = 1};
}

void test_external_records_leave_their_length_and_a_cut(void)
{
    begin();
    struct fetch_response_responses topic;
    struct fetch_response_responses_partitions partitions[3];
    struct fetch_response in = mixed_response(&topic, partitions), out;
    struct wire_cut cuts[4];
    size_t size, cut_count = COUNT_OF(cuts);
    expect_eq(wire_measure(&wire_fetch_response, 16, &in, &size), OUT_OK);
    uint8_t *raw = arena_take(&arena, size);
    expect_eq(wire_encode(&wire_fetch_response, 16, &in, raw, size, cuts, &cut_count), OUT_OK);
    expect_eq(cut_count, 2);
    expect_eq(cuts[0].size, 100000);
    expect_eq(cuts[1].size, 7);
    expect(cuts[0].external == partitions[0].records.external);
    expect(cuts[1].external == partitions[2].records.external);
    /* Put together as the net room sends it, it is what a client can read. */
    size_t total = size + 100000 + 7;
    uint8_t *sent = malloc(total), *at = sent;
    size_t from = 0;
    for (size_t i = 0; i < cut_count; i++) {
        at = mempcpy(at, raw + from, cuts[i].position - from);
        memset(at, 'a' + (int)i, cuts[i].size);
        at += cuts[i].size;
        from = cuts[i].position;
    }
    at = mempcpy(at, raw + from, size - from);
    expect_eq(at - sent, total);
    size_t used;
    struct bytes whole = {sent, total};
    expect_eq(wire_decode(&wire_fetch_response, 16, whole, &arena, &out, &used), OUT_OK);
    expect_eq(used, total);
    expect_eq(out.responses[0].partitions[0].records.size, 100000);
    expect_eq(out.responses[0].partitions[0].records.at[99999], 'a');
    expect(bytes_is(bytes_view(out.responses[0].partitions[1].records.at, 6), "inside"));
    expect_eq(out.responses[0].partitions[2].records.at[6], 'b');
    free(sent);
    arena_fini(&arena);
}

void test_too_few_cuts_is_full(void)
{
    begin();
    struct fetch_response_responses topic;
    struct fetch_response_responses_partitions partitions[3];
    struct fetch_response in = mixed_response(&topic, partitions);
    struct wire_cut cut;
    size_t size, cut_count = 1;
    expect_eq(wire_measure(&wire_fetch_response, 16, &in, &size), OUT_OK);
    uint8_t *raw = arena_take(&arena, size);
    expect_eq(wire_encode(&wire_fetch_response, 16, &in, raw, size, &cut, &cut_count), OUT_FULL);
    expect_eq(wire_encode(&wire_fetch_response, 16, &in, raw, size, NULL, NULL), OUT_FULL);
    arena_fini(&arena);
}

void test_a_null_where_none_is_allowed_is_not_encoded(void)
{
    size_t size;
    struct heartbeat_request in = {.group_id = bytes_of("g"), .member_id = {NULL, 0}};
    expect_eq(wire_measure(&wire_heartbeat_request, 0, &in, &size), OUT_INVALID);
    in.member_id = bytes_of("m");
    expect_eq(wire_measure(&wire_heartbeat_request, 0, &in, &size), OUT_OK);
    struct metadata_request all = {.topics_count = -1};
    expect_eq(wire_measure(&wire_metadata_request, 0, &all, &size), OUT_INVALID);
    expect_eq(wire_measure(&wire_metadata_request, 1, &all, &size), OUT_OK);
}

void test_sizes_that_do_not_fit_are_not_encoded(void)
{
    static uint8_t text[40000];
    size_t size;
    struct heartbeat_request in = {.group_id = {text, 32767}, .member_id = bytes_of("m")};
    expect_eq(wire_measure(&wire_heartbeat_request, 0, &in, &size), OUT_OK);
    in.group_id.size = 32768;
    expect_eq(wire_measure(&wire_heartbeat_request, 0, &in, &size), OUT_INVALID);
    expect_eq(wire_measure(&wire_heartbeat_request, 4, &in, &size), OUT_INVALID);
    struct fetch_response_responses topic;
    struct fetch_response_responses_partitions partitions[3];
    struct fetch_response fetch = mixed_response(&topic, partitions);
    partitions[0].records.size = INT32_MAX - 5;
    expect_eq(wire_measure(&wire_fetch_response, 16, &fetch, &size), OUT_TOO_LARGE);
    partitions[0].records.size = (size_t)INT32_MAX + 1;
    expect_eq(wire_measure(&wire_fetch_response, 16, &fetch, &size), OUT_TOO_LARGE);
}

void test_versions_that_are_not_defined(void)
{
    begin();
    struct fetch_request fetch;
    size_t size;
    wire_defaults(&wire_fetch_request, &fetch);
    struct share_fetch_request share;
    wire_defaults(&wire_share_fetch_request, &share);
    expect_eq(wire_measure(&wire_share_fetch_request, 0, &share, &size), OUT_UNSUPPORTED);
    expect_eq(wire_measure(&wire_fetch_request, 19, &fetch, &size), OUT_UNSUPPORTED);
    struct bytes nothing = {NULL, 0};
    expect_eq(wire_decode(&wire_fetch_request, -1, nothing, &arena, &fetch, NULL), OUT_UNSUPPORTED);
    arena_fini(&arena);
}

/* Longer than 127 bytes: the varint that holds a tagged field's size needs two bytes. */
void test_a_long_tagged_field(void)
{
    begin();
    struct fetch_response_node_endpoints nodes[20];
    for (int i = 0; i < 20; i++)
        nodes[i] = (struct fetch_response_node_endpoints){
            .node_id = i, .host = bytes_of("a-host-name.example"), .port = 9092};
    struct fetch_response in = {.node_endpoints = nodes, .node_endpoints_count = 20}, out;
    struct bytes raw = encode(&wire_fetch_response, 18, &in);
    size_t used;
    expect_eq(wire_decode(&wire_fetch_response, 18, raw, &arena, &out, &used), OUT_OK);
    expect_eq(used, raw.size);
    expect_eq(out.node_endpoints_count, 20);
    expect_eq(out.node_endpoints[19].node_id, 19);
    expect(wire_equal(&wire_fetch_response, 18, &in, &out));
    arena_fini(&arena);
}

void test_printing(void)
{
    begin();
    struct heartbeat_request in = {.group_id = bytes_of("a\"b\n"), .generation_id = -7,
                                   .member_id = bytes_of(""), .group_instance_id = {NULL, 0}};
    struct bytes text = wire_print(&wire_heartbeat_request, 3, &in, &arena);
    expect(bytes_is(text, "{\"groupId\":\"a\\\"b\\u000a\",\"generationId\":-7,\"memberId\":\"\","
                          "\"groupInstanceId\":null}"));
    struct arena small;
    arena_init(&small, 100);
    expect(wire_print(&wire_heartbeat_request, 3, &in, &small).at == NULL);
    arena_fini(&small);
    arena_fini(&arena);
}
