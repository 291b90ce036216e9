/* SPDX-License-Identifier: MIT */
/* The file of settings, read again while the broker runs. On the control thread. */
#include "broker/private.h"

#include "watch/watch.h"

/* Topics have the new defaults from the next view on. */
static enum outcome take_effect(struct broker *b, struct config *fresh)
{
    const struct config *before = b->base;
    struct view *v;
    if (b->config_count + 2 > CONFIGS_KEPT)
        return fail(OUT_TOO_LARGE, "settings were changed too often: they need a restart");
    b->base = fresh;
    struct config *effective = control_config_over(b);
    enum outcome o = effective == NULL ? OUT_INVALID : OUT_OK;
    if (o == OUT_OK) {
        b->configs[b->config_count++] = fresh;
        control_config_set(b, effective);
        o = view_make(b, b->view, &v);
        if (o == OUT_OK)
            view_publish(b, v);
        return o;
    }
    b->base = before;
    return o;
}

void control_reload(struct mail *mail)
{
    struct broker *b = container_of(mail, struct broker, reload);
    struct config *fresh;
    struct config_changes d;
    int64_t begun = os_now_ns();
    atomic_store(&b->reloading, false);
    enum outcome o = config_reload(b->base, &fresh, &d);
    bool any = o == OUT_OK && d.applied[0] != '\0';
    if (any)
        o = take_effect(b, fresh);
    if (fresh != NULL && b->base != fresh)
        config_free(fresh);
    if (o != OUT_OK) {
        count(config_reload_failures, 1);
        watch_log(WATCH_ERROR, "config", "nothing was changed: %s", outcome_trail());
        return;
    }
    count(config_reloads, 1);
    watch_log(WATCH_INFO, "config", "%s read again in %lld us; changed: %s; needs a restart: %s",
              b->base->path, (long long)((os_now_ns() - begun) / 1000),
              any ? d.applied : "nothing", d.restart[0] == '\0' ? "nothing" : d.restart);
}

void broker_reload(struct broker *b)
{
    if (!atomic_exchange(&b->reloading, true))
        shard_post(&b->control, &b->reload);
}
