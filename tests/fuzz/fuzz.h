/* SPDX-License-Identifier: MIT */
/*
 * Fuzz targets define LLVMFuzzerTestOneInput. clang links libFuzzer's main (make fuzz); gcc links
 * replay.c, which feeds files or a fixed number of made-up inputs to the target.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seeds for replay.c and for a corpus: writes the seed of that number into `out` (of `room` bytes)
 * and returns its size, 0 behind the last. Each target gives its own. */
size_t fuzz_seed(size_t number, uint8_t *out, size_t room);

#endif
