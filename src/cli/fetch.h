/* SPDX-License-Identifier: MIT */
/* Pages of a monitoring port (private to cli/). */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "cli/message.h"

#include <jansson.h>

/* A page that is a JSON object, the caller's to json_decref. */
MUST enum outcome cli_fetch(const struct cli_server *s, const char *path, json_t **page);

#endif
