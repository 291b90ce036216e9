/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: record batches, as a reader of stored bytes sees them and as a client sends them.
 * The first byte picks: bit 0 makes the checksum right (so that what lies behind it is reached),
 * bits 1-3 set the topic's options, bit 4 a request version without zstd.
 */
#include "base/check.h"
#include "base/crc32c.h"
#include "fuzz.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT MiB(4)
#define REOPEN 5000
#define NOW INT64_C(1700000000000)

static struct log *sink;
static int appended;
static char dir[64];
static struct log_io io;

/* The target's log keeps nothing. */
static ssize_t swallow(int fd, const void *from, size_t size, off_t at)
{
    (void)fd;
    (void)from;
    (void)at;
    return (ssize_t)size;
}

static void sink_away(void)
{
    char command[100];
    if (sink != NULL)
        check(log_close(&sink, LOG_UNCLEAN) == OUT_OK);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (dir[0] != '\0' && system(command) != 0)
        perror(command);
    dir[0] = '\0';
}

static void open_sink(void)
{
    char path[80];
    static int registered;
    sink_away();
    snprintf(dir, sizeof dir, "/tmp/fluxmq-fuzz-XXXXXX");
    check(mkdtemp(dir) != NULL);
    if (!registered++)
        atexit(sink_away);
    snprintf(path, sizeof path, "%s/t-0", dir);
    io = log_io_kernel;
    io.pwrite = swallow;
    struct log_open what = {.path = path, .io = &io, .now_ms = NOW};
    log_options_default(&what.options);
    check(log_open(&what, &sink) == OUT_OK);
    appended = 0;
}

/* A stored batch: whatever it holds, views stay inside of what was decoded. */
static void walk(struct bytes rest)
{
    struct log_batch b;
    struct log_record r;
    struct log_header h;
    while (log_batch_next(&rest, &b) == OUT_OK) {
        struct log_records records;
        int32_t count = 0;
        bool good = log_batch_crc_good(&b);
        enum outcome o = log_records_begin(&records, &b, LIMIT);
        while (o == OUT_OK && (o = log_records_next(&records, &r)) == OUT_OK) {
            struct bytes headers = r.headers;
            int32_t n = 0;
            while (log_header_next(&headers, &h))
                n++;
            check(n == r.header_count);
            count++;
        }
        check(o != OUT_END || b.magic < 2 || count == b.count || !good);
        log_records_fini(&records);
    }
}

static void send(uint8_t *at, size_t size, uint8_t flags)
{
    static const enum log_codec codecs[] =
        {LOG_CODEC_PRODUCER, LOG_CODEC_PRODUCER, LOG_NONE, LOG_ZSTD};
    struct log_options o;
    struct arena arena;
    struct store_appended done;
    if (sink == NULL || ++appended > REOPEN)
        open_sink();
    log_options_default(&o);
    o.cleanup_compact = (flags & 2) != 0;
    o.validation = flags & 4 ? LOG_VALIDATE_FULL : LOG_VALIDATE_PLAIN;
    o.timestamp_type = flags & 8 ? LOG_APPEND_TIME : LOG_CREATE_TIME;
    o.compression = codecs[flags >> 5 & 3];
    check(log_configure(sink, &o) == OUT_OK);
    arena_init(&arena, MiB(1));
    struct store_append a = {.at = at, .size = size, .origin = STORE_CLIENT, .now_ms = NOW,
                             .arena = &arena, .zstd_refused = (flags & 16) != 0};
    enum outcome out = store_append(log_store(sink), &a, &done);
    check(out != OUT_OK || done.last_offset >= done.base_offset);
    check(out == OUT_OK || done.base_offset == -1);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t flags = data[0];
    size_t batch_size = size - 1;
    uint8_t *batch = malloc(batch_size + 1);
    if (batch == NULL)
        return 0;
    memcpy(batch, data + 1, batch_size);
    if ((flags & 1) && batch_size >= LOG_BATCH_HEADER) {
        uint32_t length = get_be32(batch + 8);
        if (length <= batch_size - LOG_BATCH_OVERHEAD &&
            length >= LOG_BATCH_HEADER - LOG_BATCH_OVERHEAD)
            put_be32(batch + 17, crc32c(0, batch + 21, length + LOG_BATCH_OVERHEAD - 21));
    }
    walk((struct bytes){batch, batch_size});
    send(batch, batch_size, flags);
    free(batch);
    return 0;
}

/* Every codec with and without producer, headers, nulls, under eight settings. */
size_t fuzz_seed(size_t number, uint8_t *out, size_t room)
{
    struct log_builder b;
    struct log_builder_end end = log_builder_plain();
    struct log_header h = {bytes_of("name"), bytes_of("value")};
    enum log_codec codec = (enum log_codec)(number % 5);
    size_t shape = number / 5 % 3, size, packed_size;
    uint8_t *at, *packed;
    if (number >= 5 * 3 * 8)
        return 0;
    log_builder_init(&b, LIMIT);
    for (size_t i = 0; i < 1 + shape * 3; i++)
        log_builder_add(&b, NOW + (int64_t)i, i % 2 ? bytes_of("key") : bytes_view(NULL, 0),
                        shape == 2
                            ? bytes_of("value value value value value") : bytes_view(NULL, 0), &h,
                        shape > 0);
    end.producer_id = shape == 2 ? 7 : -1;
    end.base_sequence = shape == 2 ? 0 : -1;
    end.producer_epoch = shape == 2 ? 0 : -1;
    check(log_builder_finish(&b, &end, &at, &size) == OUT_OK);
    check(log_compress(codec, INT32_MIN, bytes_view(at + LOG_BATCH_HEADER, size - LOG_BATCH_HEADER),
                       &packed,
                       &packed_size) == OUT_OK);
    size_t total = 1 + LOG_BATCH_HEADER + packed_size;
    check(total <= room);
    out[0] = (uint8_t)(1 | number / 15 << 1 | number / 15 << 5);
    memcpy(out + 1, at, LOG_BATCH_HEADER);
    memcpy(out + 1 + LOG_BATCH_HEADER, packed, packed_size);
    put_be32(out + 1 + 8, (uint32_t)(LOG_BATCH_HEADER - LOG_BATCH_OVERHEAD + packed_size));
    out[1 + 22] = (uint8_t)codec;
    free(packed);
    log_builder_fini(&b);
    return total;
}
