/* SPDX-License-Identifier: MIT */
/* What the monitoring pages share: arguments, times, durations. */
#include "http/monitor.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

const char *monitor_word(const struct monitor *m, const char *name)
{
    return MHD_lookup_connection_value(m->request, MHD_GET_ARGUMENT_KIND, name);
}

static bool wrong(struct monitor *m, const char *what, const char *name, const char *word)
{
    snprintf(m->wrong, sizeof m->wrong, "Error decoding %s for '%s': \"%.40s\"", what, name, word);
    return false;
}

bool monitor_number(struct monitor *m, const char *name, uint64_t *value)
{
    const char *word = monitor_word(m, name);
    char *end;
    if (word == NULL || word[0] == '\0')
        return true;
    errno = 0;
    unsigned long long n = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0)
        return wrong(m, "int", name, word);
    *value = n;
    return true;
}

bool monitor_flag(struct monitor *m, const char *name, bool *value)
{
    static const char *yes[] = {"1", "t", "true"}, *no[] = {"0", "f", "false"};
    const char *word = monitor_word(m, name);
    if (word == NULL || word[0] == '\0')
        return true;
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        bool on = strcasecmp(word, yes[i]) == 0;
        if (on || strcasecmp(word, no[i]) == 0) {
            *value = on;
            return true;
        }
    }
    return wrong(m, "boolean", name, word);
}

json_t *monitor_text(struct bytes b)
{
    json_t *text = b.at == NULL ? NULL : json_stringn((const char *)b.at, b.size);
    return text == NULL ? json_null() : text;
}

json_t *monitor_time(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                        (int)(wall_ms % 1000));
}

json_t *monitor_age(int64_t ms)
{
    long long s = MAX(ms, 0) / 1000, days = s / 86400;
    int hour = (int)(s / 3600 % 24), minute = (int)(s / 60 % 60), second = (int)(s % 60);
    if (days >= 365)
        return json_sprintf("%lldy%lldd%dh%dm%ds", days / 365, days % 365, hour, minute, second);
    if (days > 0)
        return json_sprintf("%lldd%dh%dm%ds", days, hour, minute, second);
    if (hour > 0)
        return json_sprintf("%dh%dm%ds", hour, minute, second);
    return minute > 0 ? json_sprintf("%dm%ds", minute, second) : json_sprintf("%ds", second);
}

void monitor_duration(int64_t ns, char text[static MONITOR_DURATION])
{
    static const struct {
        int64_t least;
        int digits;
        const char *unit;
    } units[] = {{1000000000, 9, "s"}, {1000000, 6, "ms"}, {1000, 3, "\xc2\xb5s"}, {0, 0, "ns"}};
    size_t u = 0;
    while (ns < units[u].least)
        u++;
    int64_t unit = MAX(units[u].least, 1);
    int used = snprintf(text, MONITOR_DURATION, "%lld", (long long)(ns / unit));
    if (ns % unit != 0) {
        used += snprintf(text + used, MONITOR_DURATION - (size_t)used, ".%0*lld", units[u].digits,
                         (long long)(ns % unit));
        while (text[used - 1] == '0')
            used--;
    }
    snprintf(text + used, MONITOR_DURATION - (size_t)used, "%s", units[u].unit);
}
