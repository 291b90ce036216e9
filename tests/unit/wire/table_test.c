/* SPDX-License-Identifier: MIT */
#include "wire/messages.h"

#include "tap.h"

void test_apis_by_key(void)
{
    const struct wire_api *api = wire_api(API_FETCH);
    expect(api != NULL);
    expect_str(api->name, "Fetch");
    expect_eq(api->lowest, 0);
    expect_eq(api->highest, 18);
    expect(api->request == &wire_fetch_request);
    expect(api->response == &wire_fetch_response);
    expect_eq(api->request->flexible_from, 12);
    expect(wire_api(-1) == NULL);
    expect(wire_api(4) == NULL); /* LeaderAndIsr is gone */
    expect(wire_api(API_KEY_END) == NULL);
    expect(wire_api(32767) == NULL);
}

void test_every_row_of_the_apis_is_consistent(void)
{
    int count = 0;
    for (int key = 0; key < API_KEY_END; key++) {
        const struct wire_api *api = wire_api(key);
        if (api == NULL)
            continue;
        count++;
        expect_eq(api->key, key);
        expect_eq(api->request->kind, WIRE_REQUEST);
        expect_eq(api->response->kind, WIRE_RESPONSE);
        expect_eq(api->request->key, key);
        expect_eq(api->response->key, key);
        expect_eq(api->request->flexible_from, api->response->flexible_from);
    }
    expect_eq(count, 89);
}

void test_an_unstable_version_is_marked(void)
{
    expect_eq(wire_init_producer_id_request.unstable_from, 6);
    expect_eq(wire_fetch_request.unstable_from, INT16_MAX);
}

void test_metadata_records_by_type(void)
{
    expect(wire_metadata_record(METADATA_TOPIC_RECORD) == &wire_topic_record);
    expect_eq(METADATA_TOPIC_RECORD, 2);
    expect(wire_metadata_record(-1) == NULL);
    expect(wire_metadata_record(6) == NULL); /* AccessControlRecord is gone */
    expect(wire_metadata_record(1000) == NULL);
}

void test_messages_by_name(void)
{
    expect(wire_message_find(bytes_of("offset_commit_value")) == &wire_offset_commit_value);
    expect(wire_message_find(bytes_of("offset_commit_valu")) == NULL);
    expect_eq(wire_message_count, 266);
}

void test_error_codes(void)
{
    expect_eq(KAFKA_UNKNOWN_SERVER_ERROR, -1);
    expect_eq(KAFKA_NONE, 0);
    expect_eq(KAFKA_UNKNOWN_TOPIC_ID, 100);
    expect_str(kafka_error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
    expect(kafka_error_retriable(3));
    expect(!kafka_error_retriable(0));
    expect(!kafka_error_retriable(999));
    expect(kafka_error_name(-2) == NULL);
    expect(kafka_error_name(134) == NULL);
    expect_str(kafka_error_text(134), "");
    for (int code = -1; code <= 133; code++)
        expect(kafka_error_name(code) != NULL && kafka_error_text(code)[0] != '\0');
}

void test_defaults(void)
{
    struct fetch_request fetch;
    wire_defaults(&wire_fetch_request, &fetch);
    expect_eq(fetch.replica_id, -1);
    expect_eq(fetch.max_bytes, INT32_MAX);
    expect_eq(fetch.replica_state.replica_epoch, -1);
    expect(fetch.cluster_id.at == NULL);
    expect(fetch.rack_id.at != NULL && fetch.rack_id.size == 0);
    expect_eq(fetch.topics_count, 0);
    struct metadata_request metadata;
    wire_defaults(&wire_metadata_request, &metadata);
    expect(metadata.allow_auto_topic_creation);
}
