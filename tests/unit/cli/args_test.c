/* SPDX-License-Identifier: MIT */
/* Command lines: options, words, values, and what is wrong with them. */
#include "cli/args.h"

#include "tap.h"

#define PARSE(verb, ...)                                                                 \
    parse(verb, (const char *[]){__VA_ARGS__},                                           \
          sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))

static struct cli_args a;

static enum outcome parse(const char *verb, const char *const *words, size_t count)
{
    expect(cli_verb(verb) != NULL);
    return cli_parse(cli_verb(verb), (int)count, words, &a);
}

static void expect_trail(const char *text)
{
    if (strstr(outcome_trail(), text) == NULL)
        expect_str(outcome_trail(), text);
}

void test_verbs(void)
{
    expect(cli_verb("pub") != NULL && cli_verb("check-config") != NULL && cli_verb("top") != NULL);
    expect(cli_verb("pu") == NULL && cli_verb("") == NULL && cli_verb("pubs") == NULL);
}

void test_options_and_words(void)
{
    expect_eq(PARSE("pub", "--server", "h:1", "a.b", "--ttl=5s", "-n", "3", "-", "-i"), OUT_OK);
    expect_str(a.values[CLI_server], "h:1");
    expect_str(a.values[CLI_ttl], "5s");
    expect_str(a.values[CLI_count], "3");
    expect(cli_given(&a, CLI_interactive) && !cli_given(&a, CLI_file));
    expect_eq(a.word_count, 2);
    expect_str(a.words[0], "a.b");
    expect_str(a.words[1], "-");
    expect(!a.help);
}

void test_end_of_options(void)
{
    expect_eq(PARSE("pub", "a", "--", "--ttl"), OUT_OK);
    expect_eq(a.word_count, 2);
    expect_str(a.words[1], "--ttl");
    expect_eq(PARSE("pub", "a", "--", "--help"), OUT_OK);
    expect(!a.help);
    expect_eq(PARSE("pub", "-h"), OUT_OK);
    expect(a.help);
}

void test_empty_words_are_words(void)
{
    expect_eq(PARSE("pub", "a", "", "--key="), OUT_OK);
    expect_eq(a.word_count, 2);
    expect_str(a.values[CLI_key], "");
}

void test_headers_keep_their_order(void)
{
    expect_eq(PARSE("pub", "-H", "a:1", "s", "--header=b:2", "-H", "a:3"), OUT_OK);
    expect_eq(a.header_count, 3);
    expect_str(a.headers[0], "a:1");
    expect_str(a.headers[1], "b:2");
    expect_str(a.headers[2], "a:3");
}

void test_what_is_refused(void)
{
    expect_eq(PARSE("pub", "--bogus"), OUT_INVALID);
    expect_trail("unknown option --bogus");
    expect_eq(PARSE("pub", "--interval", "1s"), OUT_INVALID); /* another verb's */
    expect_eq(PARSE("top", "--ttl", "1s"), OUT_INVALID);
    expect_eq(PARSE("pub", "a", "--ttl"), OUT_INVALID);
    expect_trail("needs a value");
    expect_eq(PARSE("pub", "--ack=yes"), OUT_INVALID);
    expect_trail("takes no value");
    expect_eq(PARSE("pub", "-x"), OUT_INVALID);
}

void test_too_many_words(void)
{
    const char *many[CLI_WORDS_MAX + 1];
    for (int i = 0; i <= CLI_WORDS_MAX; i++)
        many[i] = "x";
    expect_eq(cli_parse(cli_verb("sub"), CLI_WORDS_MAX, many, &a), OUT_OK);
    expect_eq(cli_parse(cli_verb("sub"), CLI_WORDS_MAX + 1, many, &a), OUT_INVALID);
}

static void expect_number(const char *text, int64_t expected)
{
    int64_t n;
    a.values[CLI_count] = text;
    enum outcome o = cli_number(&a, CLI_count, 1, 7, &n);
    if (expected < 0) {
        expect_eq(o, OUT_INVALID);
        expect_trail("--count");
    } else {
        expect_eq(o, OUT_OK);
        expect_eq(n, expected);
    }
}

void test_numbers(void)
{
    expect_number(NULL, 7);
    expect_number("1", 1);
    expect_number("9223372036854775807", INT64_MAX);
    expect_number("9223372036854775808", -1);
    expect_number("0", -1);
    expect_number("-3", -1);
    expect_number("", -1);
    expect_number("3x", -1);
}

static void expect_ms(const char *text, int64_t expected)
{
    int64_t ms = -1;
    bool good = cli_duration_parse(text, &ms);
    if (good != (expected >= 0) || (good && ms != expected)) {
        printf("# %s: %d, %lld ms\n", text, good, (long long)ms);
        expect(false);
    }
}

void test_durations(void)
{
    expect_ms("30", 30000);
    expect_ms("0", 0);
    expect_ms("250ms", 250);
    expect_ms("1m30s", 90000);
    expect_ms("1.5h", 5400000);
    expect_ms("2h45m10s5ms", 9910005);
    static const char *bad[] = {"", "s", "1x", "1s2", "1 s", "-1s", "1e3s", "0x10s", "1..5s",
                                "ms", "999999999999", "99999999h", "never", "inf", "nan"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect_ms(bad[i], -1);
}
