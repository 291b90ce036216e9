#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_parallel_producers.sh [N=4] [SECONDS=10] [HOST:PORT=localhost:9092]
#
# N processes of ContinuousThroughputBenchmark at once, each with a topic of its own, and the sum of what
# they stored a second. The status is 1 when one of them did not read back all that it sent.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
count=${1:-4} seconds=${2:-10} address=${3:-localhost:9092}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$here/run.sh" --classpath >/dev/null
status=0
pids=
for i in $(seq "$count"); do
    "$here/run.sh" ContinuousThroughputBenchmark "$address" "$seconds" --json "$folder/$i.json" >"$folder/$i.out" 2>&1 &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || status=1; done
for i in $(seq "$count"); do
    echo "producer $i"
    sed 1,2d "$folder/$i.out"
done
sed -n 's/.*"stored_per_s": \([0-9.E]*\),.*"whole": true.*/\1/p' "$folder"/*.json |
    awk -v n="$count" '{ sum += $1 } END { printf "%d of %d producers whole: %.0f records/s in all\n", NR, n, sum }'
exit $status
