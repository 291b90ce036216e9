/* SPDX-License-Identifier: MIT */
/* Subjects: validity, and how patterns relate, against brute force over small alphabets. */
#include "live/live.h"
#include "tap.h"

static enum live_subject kind(const char *text)
{
    return live_subject_kind(bytes_of(text));
}

void test_what_is_a_subject(void)
{
    static const char *const literal[] = {"a", "a.b", "a*", "*a.b", "a>", ">a", "a.**", "a.>>.c",
                                          "caf\xc3\xa9.x", "$JS.ACK.x", "_INBOX.abc"};
    static const char *const wild[] = {"*", ">", "a.*", "*.a", "a.>", "*.*.>", "a.*.c"};
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\n", "\x7f",
                                      ">.a", "a.>.b", ">.>", "a.\x01"};
    for (size_t i = 0; i < COUNT_OF(literal); i++)
        expect(kind(literal[i]) == LIVE_LITERAL);
    for (size_t i = 0; i < COUNT_OF(wild); i++)
        expect(kind(wild[i]) == LIVE_WILDCARD);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect(kind(bad[i]) == LIVE_BAD);
    expect(live_subject_kind(bytes_view("a\0b", 3)) == LIVE_BAD);
}

void test_how_long_a_subject_may_be(void)
{
    char text[LIVE_SUBJECT_MAX + 1];
    memset(text, 'x', sizeof text);
    expect(live_subject_kind(bytes_view(text, LIVE_SUBJECT_MAX)) == LIVE_LITERAL);
    expect(live_subject_kind(bytes_view(text, LIVE_SUBJECT_MAX + 1)) == LIVE_BAD);
}

static bool matches(const char *pattern, const char *subject)
{
    return live_matches(bytes_of(pattern), bytes_of(subject));
}

void test_matches_by_example(void)
{
    expect(matches("a.b", "a.b") && !matches("a.b", "a") && !matches("a", "a.b"));
    expect(matches("*", "a") && !matches("*", "a.b") && matches("a.*.c", "a.b.c"));
    expect(matches(">", "a") && matches(">", "a.b.c") && matches("a.>", "a.b.c"));
    expect(!matches("a.>", "a") && !matches("a.*", "a") && !matches("a.*", "b.c"));
    expect(matches("a*", "a*") && !matches("a*", "ab"));
}

/* Every pattern of up to three tokens of a, b, *, > (valid ones). */
static int all_patterns(char (*out)[8])
{
    static const char tokens[] = "ab*>";
    int count = 0;
    for (int n = 1; n <= 3; n++) {
        int many = n == 1 ? 4 : n == 2 ? 16 : 64;
        for (int i = 0; i < many; i++) {
            char text[8] = "";
            for (int k = 0, rest = i; k < n; k++, rest /= 4) {
                text[2 * k] = tokens[rest % 4];
                text[2 * k + 1] = k + 1 < n ? '.' : '\0';
            }
            if (kind(text) != LIVE_BAD)
                memcpy(out[count++], text, sizeof text);
        }
    }
    return count;
}

/* With three letters and four tokens every relation of such patterns shows in some subject. */
static int all_subjects(char (*out)[8])
{
    int count = 0;
    for (int n = 1, many = 3; n <= 4; n++, many *= 3) {
        for (int i = 0; i < many; i++) {
            for (int k = 0, rest = i; k < n; k++, rest /= 3) {
                out[count][2 * k] = "abc"[rest % 3];
                out[count][2 * k + 1] = k + 1 < n ? '.' : '\0';
            }
            count++;
        }
    }
    return count;
}

void test_covers_and_overlaps_say_what_matching_shows(void)
{
    char patterns[84][8], subjects[120][8];
    int pattern_count = all_patterns(patterns), subject_count = all_subjects(subjects);
    expect_eq(subject_count, 120);
    expect_eq(pattern_count, 4 + 12 + 36);
    for (int i = 0; i < pattern_count; i++) {
        for (int k = 0; k < pattern_count; k++) {
            bool all = true, any = false;
            for (int s = 0; s < subject_count; s++) {
                bool outer = matches(patterns[i], subjects[s]);
                bool inner = matches(patterns[k], subjects[s]);
                all &= !inner || outer;
                any |= inner && outer;
            }
            expect(live_covers(bytes_of(patterns[i]), bytes_of(patterns[k])) == all);
            expect(live_overlaps(bytes_of(patterns[i]), bytes_of(patterns[k])) == any);
        }
    }
}
