/* SPDX-License-Identifier: MIT */
/* The rows of the served APIs, found by key. */
#include "kafka/call.h"

static const struct api_row rows[] = {
#define API(n, k, advertised, low, high)                                               \
    {.name = #n, .key = (k), .version_min = (low), .version_max = (high),              \
     .advertised_min = (advertised), .request = &wire_##n##_request,                   \
     .response = &wire_##n##_response, .handle = n##_handle},
#include "kafka/api.def"
#undef API
};

const struct api_row *api_rows(size_t *count)
{
    *count = COUNT_OF(rows);
    return rows;
}

const struct api_row *api_row(int16_t key)
{
    size_t low = 0, high = COUNT_OF(rows);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT_OF(rows) && rows[low].key == key ? &rows[low] : NULL;
}
