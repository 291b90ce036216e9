#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_comparison.sh [--quick] [OPTION...]: the published programs against FluxMQ and a real Kafka, which it starts
# itself, in turns; the report goes to bench/results. bench/compare.py has the options, bench/BENCHMARK_RULES.md
# the rules.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
[ -x "$root/build/fluxmq" ] || make -C "$root"
exec python3 "$root/bench/compare.py" "$@"
