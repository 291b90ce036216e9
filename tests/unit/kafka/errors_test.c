/* SPDX-License-Identifier: MIT */
/* What each outcome is called in a reply. */
#include "kafka/call.h"

#include "tap.h"

void test_every_outcome_has_an_error_of_kafka(void)
{
    for (int o = 0; o < OUT_COUNT; o++)
        expect(kafka_error_name(error_of((enum outcome)o)) != NULL);
    expect_eq(error_of(OUT_COUNT), -1);
}

/* A failure that reads as success would be a lost record. */
void test_only_success_is_no_error(void)
{
    for (int o = 0; o < OUT_COUNT; o++) {
        bool success = o == OUT_OK || o == OUT_END;
        expect_eq(error_of((enum outcome)o) == KAFKA_NONE, success);
    }
}

/* A client that is told -1 can only guess: what it did wrong itself has a name. */
void test_what_a_peer_did_has_a_name(void)
{
    for (int o = 0; o < OUT_COUNT; o++) {
        if (outcome_blame((enum outcome)o) != BLAME_PEER || o == OUT_CLOSED ||
            o == OUT_BAD_COMPRESSION) /* never reaches a reply; inside a batch it is malformed */
            continue;
        if (error_of((enum outcome)o) == -1)
            printf("# %s\n", outcome_name((enum outcome)o));
        expect(error_of((enum outcome)o) != -1);
    }
}

void test_codes_that_clients_act_upon(void)
{
    static const struct {
        enum outcome outcome;
        int16_t code;
    } rows[] = {
        {OUT_OFFSET_OUT_OF_RANGE, 1}, {OUT_CORRUPT_MESSAGE, 2}, {OUT_MALFORMED, 2},
        {OUT_NOT_FOUND, 3}, {OUT_TIMED_OUT, 7}, {OUT_MESSAGE_TOO_LARGE, 10},
        {OUT_OFFSET_METADATA_TOO_LARGE, 12}, {OUT_COORDINATOR_NOT_AVAILABLE, 15},
        {OUT_NOT_COORDINATOR, 16}, {OUT_INVALID_TOPIC, 17}, {OUT_RECORD_LIST_TOO_LARGE, 18},
        {OUT_ILLEGAL_GENERATION, 22}, {OUT_INCONSISTENT_PROTOCOL, 23}, {OUT_INVALID_GROUP_ID, 24},
        {OUT_UNKNOWN_MEMBER, 25}, {OUT_INVALID_SESSION_TIMEOUT, 26},
        {OUT_REBALANCE_IN_PROGRESS, 27}, {OUT_INVALID_TIMESTAMP, 32}, {OUT_UNSUPPORTED, 35},
        {OUT_EXISTS, 36}, {OUT_INVALID_PARTITIONS, 37}, {OUT_INVALID_REPLICATION_FACTOR, 38},
        {OUT_INVALID_CONFIG, 40}, {OUT_OUT_OF_ORDER_SEQUENCE, 45},
        {OUT_INVALID_PRODUCER_EPOCH, 47}, {OUT_IO, 56}, {OUT_NO_SPACE, 56}, {OUT_OFFLINE, 56},
        {OUT_NON_EMPTY_GROUP, 68}, {OUT_GROUP_ID_NOT_FOUND, 69},
        {OUT_UNSUPPORTED_COMPRESSION, 76}, {OUT_MEMBER_ID_REQUIRED, 79}, {OUT_GROUP_MAX_SIZE, 81},
        {OUT_FENCED_INSTANCE, 82}, {OUT_INVALID_RECORD, 87}, {OUT_NO_MEMORY, -1}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_eq(error_of(rows[i].outcome), rows[i].code);
}
