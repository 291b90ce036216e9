/* SPDX-License-Identifier: MIT */
/* Clocks, threads and figures of the process. */
#include "os/os.h"
#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void test_clocks_tell_the_time(void)
{
    int64_t a = os_now_ns(), wall = os_wall_ms();
    expect(os_now_ns() >= a && a > 0);
    expect(wall / 1000 - time(NULL) <= 1 && time(NULL) - wall / 1000 <= 1);
}

struct seen {
    char name[16];
    bool blocked;
    pthread_t id;
};

static void look_around(void *context)
{
    struct seen *s = context;
    sigset_t mask;
    s->id = pthread_self();
    pthread_getname_np(s->id, s->name, sizeof s->name);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1;
}

void test_a_thread_has_a_name_and_no_signals(void)
{
    struct seen s = {0};
    struct os_thread *t;
    sigset_t mask;
    expect(os_thread_start("a-name-that-is-too-long", look_around, &s, &t) == OUT_OK);
    os_thread_join(&t);
    expect(t == NULL);
    os_thread_join(&t); /* nothing to do */
    expect_str(s.name, "a-name-that-is-");
    expect(s.blocked && !pthread_equal(s.id, pthread_self()));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    expect(sigismember(&mask, SIGTERM) == 0); /* ours still come */
}

void test_the_limit_of_files_goes_up_to_what_is_allowed(void)
{
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct rlimit low = {100, limit.rlim_max};
    expect(setrlimit(RLIMIT_NOFILE, &low) == 0);
    expect_eq(os_files_limit(), limit.rlim_max);
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == limit.rlim_max);
}

void test_figures_of_the_process_move(void)
{
    size_t before = os_resident_bytes();
    expect(before > 0);
    char *much = malloc(MiB(32));
    expect(much != NULL);
    for (size_t i = 0; i < MiB(32); i += 1024)
        ((volatile char *)much)[i] = (char)i;
    expect(os_resident_bytes() >= before + MiB(30));
    free(much);
    int64_t cpu = os_cpu_ms();
    while (os_cpu_ms() < cpu + 5) {
    }
    expect(os_cores() >= 1 && os_cores() <= 4096);
}

static bool absolute_is(const char *path, const char *expected)
{
    char to[64];
    return os_absolute(path, to, sizeof to) && strcmp(to, expected) == 0;
}

void test_paths_begin_at_the_root(void)
{
    char here[4096], to[4096];
    expect(absolute_is("/a/b", "/a/b"));
    expect(absolute_is("//a/./b//../c/", "/a/b/../c"));
    expect(absolute_is("/", "/") && absolute_is("/.", "/"));
    expect(getcwd(here, sizeof here - 8) != NULL);
    expect(os_absolute(".", to, sizeof to) && strcmp(to, here) == 0);
    expect(os_absolute("./x/", to, sizeof to) && strncmp(to, here, strlen(here)) == 0);
    expect(strcmp(to + strlen(here), "/x") == 0);
    expect(!os_absolute("/a/long", to, 7) && os_absolute("/a/long", to, 8));
    expect(!os_absolute("x", to, 2));
}
