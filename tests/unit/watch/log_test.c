/* SPDX-License-Identifier: MIT */
/* The operator's log: its form, its levels, and lines that repeat. */
#include "watch/watch.h"

#include "tap.h"

#include <time.h>

static char said[65536];
static int ends[2], kept;

static void listen_begin(void)
{
    expect(pipe(ends) == 0);
    kept = dup(2);
    expect(dup2(ends[1], 2) == 2);
    expect(close(ends[1]) == 0);
}

/* What was logged since; returns the number of lines. */
static int listen_end(void)
{
    size_t used = 0;
    ssize_t size;
    int lines = 0;
    fflush(stderr);
    expect(dup2(kept, 2) == 2);
    while ((size = read(ends[0], said + used, sizeof said - 1 - used)) > 0)
        used += (size_t)size;
    said[used] = '\0';
    for (const char *at = said; *at != '\0'; at++)
        lines += *at == '\n';
    expect(close(ends[0]) == 0 && close(kept) == 0);
    return lines;
}

void test_one_line_of_time_level_room_and_text(void)
{
    struct tm parts;
    listen_begin();
    watch_log(WATCH_WARN, "log", "segment %d of %s", 7, "t-0");
    expect_eq(listen_end(), 1);
    const char *rest = strptime(said, "%Y-%m-%dT%H:%M:%S", &parts);
    expect(rest != NULL && rest == said + 19 && rest[0] == '.' && rest[4] == 'Z');
    expect_str(rest + 5, " WARN log: segment 7 of t-0\n");
}

void test_levels(void)
{
    listen_begin();
    watch_log(WATCH_DEBUG, "x", "not by default");
    watch_log(WATCH_INFO, "x", "by default");
    watch_level_set(WATCH_ERROR);
    watch_log(WATCH_WARN, "x", "not now");
    watch_log(WATCH_ERROR, "x", "still");
    watch_level_set(WATCH_TRACE);
    watch_log(WATCH_TRACE, "x", "now all");
    expect_eq(listen_end(), 3);
    expect(strstr(said, "INFO x: by default\n") != NULL);
    expect(strstr(said, "ERROR x: still\n") != NULL);
    expect(strstr(said, "TRACE x: now all\n") != NULL);
}

void test_repeated_lines_are_held_back(void)
{
    listen_begin();
    for (int i = 0; i < 1000; i++) {
        watch_log(WATCH_INFO, "x", "connection %d refused", i);
        if (i % 500 == 0)
            watch_log(WATCH_INFO, "x", "another event");
    }
    int lines = listen_end();
    /* 5 of the first kind in ten seconds, 2 of the other; twice that if a period ends in between */
    expect(lines >= 7 && lines <= 12);
    expect(strstr(said, "connection 4 refused") != NULL);
    expect(strstr(said, "connection 6 refused") == NULL);
}

void test_peers_make_one_line(void)
{
    listen_begin();
    for (int i = 0; i < 1000; i++)
        watch_peer(WATCH_WARN, "x", "peer %d refused", i);
    int lines = listen_end();
    expect(lines >= 1 && lines <= 2); /* two if ten seconds end in between */
    expect(strstr(said, "WARN x: peer 0 refused\n") != NULL);
}

void test_a_long_line_is_cut(void)
{
    static char text[8192];
    memset(text, 'z', sizeof text - 1);
    listen_begin();
    watch_log(WATCH_ERROR, "x", "%s", text);
    expect_eq(listen_end(), 1);
    expect(strlen(said) <= 2048);
    expect(said[strlen(said) - 1] == '\n');
}
