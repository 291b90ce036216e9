/* SPDX-License-Identifier: MIT */
/* The subject tree against a plain list under random changes, and what it leaves behind. */
#include "live/private.h"
#include "tap.h"

#define SUBS 400

static uint64_t seed = 4711;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

/* Up to four tokens of few letters, so that they meet often. */
static size_t any_subject(char text[static 16], bool wild)
{
    uint32_t tokens = 1 + any(4);
    size_t at = 0;
    for (uint32_t i = 0; i < tokens; i++) {
        text[at++] = wild && any(4) == 0 ? '*' : (char)('a' + any(3));
        if (wild && i + 1 == tokens && any(4) == 0)
            text[at - 1] = '>';
        text[at++] = '.';
    }
    return at - 1;
}

struct known {
    struct live_sub sub;
    char pattern[16];
    size_t size;
    int queue; /* -1: none */
};

static struct live_shard shards[2] = {{.index = 0}, {.index = 1}};

static void change(struct live_tree *t, struct known *k)
{
    static const char *const queues[] = {"q", "r"};
    if (k->sub.node != NULL) {
        tree_remove(t, &k->sub);
        return;
    }
    k->size = any_subject(k->pattern, any(2) == 0);
    k->queue = (int)any(4) - 2;
    k->sub.shard = &shards[any(2)];
    k->sub.serial++;
    struct bytes pattern = bytes_view(k->pattern, k->size);
    expect(tree_add(t, &k->sub, pattern, live_subject_kind(pattern),
                    bytes_of(k->queue < 0 ? NULL : queues[k->queue])) == OUT_OK);
}

/* Whether the match names exactly those that it should, each once. */
static void compare(const struct known *subs, struct bytes subject, const struct match *m)
{
    uint32_t own = 0, members = 0, in_groups = 0;
    uint64_t others = 0;
    for (uint32_t i = 0; i < SUBS; i++) {
        const struct known *k = &subs[i];
        if (k->sub.node == NULL || !live_matches(bytes_view(k->pattern, k->size), subject))
            continue;
        uint32_t found = 0;
        if (k->queue < 0 && k->sub.shard != &shards[0]) {
            others = 2;
            continue;
        }
        for (uint32_t n = 0; n < m->own_count; n++)
            found += k->queue < 0 && m->own[n].index == i && m->own[n].serial == k->sub.serial;
        for (uint32_t n = 0; n < m->member_count; n++)
            found += k->queue >= 0 && m->members[n].name.index == i &&
                     m->members[n].name.serial == k->sub.serial &&
                     m->members[n].shard == k->sub.shard->index;
        expect_eq(found, 1);
        own += k->queue < 0;
        members += k->queue >= 0;
    }
    expect_eq(m->own_count, own);
    expect_eq(m->member_count, members);
    expect_eq(m->others, others);
    for (uint32_t g = 0; g < m->group_count; g++) {
        const struct group_match *a = &m->groups[g];
        expect(a->first == in_groups && a->count > 0);
        in_groups += a->count;
        for (uint32_t n = 0; n < a->count; n++) { /* of one group: one pattern, one queue */
            const struct known *x = &subs[m->members[a->first].name.index];
            const struct known *y = &subs[m->members[a->first + n].name.index];
            expect(x->sub.node == y->sub.node && x->queue == y->queue);
        }
    }
    expect_eq(in_groups, members);
}

void test_random_changes_match_as_a_list_does(void)
{
    static struct known subs[SUBS];
    struct live_tree t;
    struct scratch x = {0};
    expect(tree_init(&t) == OUT_OK);
    for (uint32_t i = 0; i < SUBS; i++)
        subs[i].sub.index = i;
    for (int step = 0; step < 20000; step++) {
        char text[16];
        uint64_t before = t.generation;
        change(&t, &subs[any(SUBS)]);
        expect(t.generation == before + 1);
        struct bytes subject = bytes_view(text, any_subject(text, false));
        expect(tree_match(&t, subject, subject_hash(subject), &shards[0], &x) == before + 1);
        compare(subs, subject, &x.m);
    }
    for (uint32_t i = 0; i < SUBS; i++)
        if (subs[i].sub.node != NULL)
            tree_remove(&t, &subs[i].sub);
    expect(t.count == 0 && t.root->children == 0 && t.root->has == 0);
    expect(t.mask < 64);
    scratch_fini(&x);
    tree_fini(&t);
}

void test_empty_tokens_match_no_wildcard(void)
{
    static const char *const patterns[] = {">", "*", "*.*", "a.*", "a.>", "a.*.b", "*.>"};
    static const char *const subjects[] = {"", ".", "a.", ".a", "a..b", "..", "a.b."};
    static struct live_sub subs[COUNT_OF(patterns)];
    struct live_tree t;
    struct scratch x = {0};
    expect(tree_init(&t) == OUT_OK);
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        subs[i].shard = &shards[0];
        expect(tree_add(&t, &subs[i], bytes_of(patterns[i]), LIVE_WILDCARD, bytes_of(NULL)) ==
               OUT_OK);
    }
    for (size_t i = 0; i < COUNT_OF(subjects); i++) {
        struct bytes subject = bytes_of(subjects[i]);
        tree_match(&t, subject, subject_hash(subject), &shards[0], &x);
        expect_eq(x.m.own_count, 0);
    }
    tree_match(&t, bytes_of("a.b"), subject_hash(bytes_of("a.b")), &shards[0], &x);
    expect_eq(x.m.own_count, 5); /* all but "*" and "a.*.b" */
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        tree_remove(&t, &subs[i]);
    scratch_fini(&x);
    tree_fini(&t);
}

void test_deep_subjects_with_a_branch_at_every_token(void)
{
    enum { TOKENS = LIVE_SUBJECT_MAX / 2 };
    static struct live_sub star, rest, literal;
    char stars[LIVE_SUBJECT_MAX], same[LIVE_SUBJECT_MAX], rests[LIVE_SUBJECT_MAX];
    struct live_tree t;
    struct scratch x = {0};
    for (size_t i = 0; i < TOKENS; i++) {
        memcpy(stars + 2 * i, "*.", 2);
        memcpy(same + 2 * i, "a.", 2);
        memcpy(rests + 2 * i, i % 2 == 0 ? "a." : "*.", 2);
    }
    size_t size = 2 * TOKENS - 1;
    rests[size - 1] = '>';
    star.shard = rest.shard = literal.shard = &shards[0];
    expect(tree_init(&t) == OUT_OK);
    expect(tree_add(&t, &star, bytes_view(stars, size), LIVE_WILDCARD, bytes_of(NULL)) == OUT_OK);
    expect(tree_add(&t, &rest, bytes_view(rests, size), LIVE_WILDCARD, bytes_of(NULL)) == OUT_OK);
    expect(tree_add(&t, &literal, bytes_view(same, size), LIVE_LITERAL, bytes_of(NULL)) == OUT_OK);
    struct bytes subject = bytes_view(same, size);
    tree_match(&t, subject, subject_hash(subject), &shards[0], &x);
    expect_eq(x.m.own_count, 3);
    tree_remove(&t, &star);
    tree_remove(&t, &rest);
    tree_remove(&t, &literal);
    expect(t.count == 0);
    scratch_fini(&x);
    tree_fini(&t);
}

void test_the_cache_is_bounded_and_true_of_a_generation(void)
{
    struct cache *c = calloc(1, sizeof *c);
    struct sub_name *names = calloc(100000, sizeof *names);
    struct match m = {.own = names, .own_count = 100000, .others = 4};
    for (uint32_t i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof text, "s.%u", i);
        struct bytes s = bytes_of(text);
        names[0].index = i;
        names[99999].serial = i + 1;
        const struct match *kept = cache_keep(c, s, subject_hash(s), 7, &m);
        expect(kept != NULL && kept == cache_find(c, s, subject_hash(s), 7));
        expect(kept->own[0].index == i && kept->own[99999].serial == i + 1 && kept->others == 4);
        expect(cache_find(c, s, subject_hash(s), 8) == NULL);
        expect(c->bytes <= CACHE_BYTES_MAX);
    }
    cache_fini(c);
    free(c);
    free(names);
}
