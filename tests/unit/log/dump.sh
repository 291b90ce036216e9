#!/bin/sh
# SPDX-License-Identifier: MIT
# dump.sh SAMPLE KAFKA.SH: Kafka's DumpLogSegments on partitions that we wrote, with deep iteration and
# all index checks, finds nothing wrong. TAP.
set -u
sample=$1 kafka=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0 bad=0
say() { # STATUS TEXT
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi
}
"$sample" "$dir"
say $? "partitions are written"
list() { ls "$dir"/*/*"$1" | tr '\n' ',' | sed 's/,$//'; }
dump() { KAFKA_HEAP=256M "$kafka" tool DumpLogSegments "$@" >"$dir/out" 2>&1; }

dump --deep-iteration --files "$(list .log)"
say $? "logs are dumped"
grep -q 'isvalid: false' "$dir/out" && s=1 || s=0
say $s "every batch is valid"
[ "$(grep -c 'isvalid: true' "$dir/out")" -ge 460 ]
say $? "no batch is missing"
# "-1 is followed by": the tool says so of every segment that does not begin at 0.
grep -qiE 'mismatch|found (timestamp|.*invalid)|exception' "$dir/out" && s=1 || s=0
grep ' is followed by ' "$dir/out" | grep -qv '^ *-1 is' && s=1
say $s "deep iteration finds nothing"
[ "$(grep -c 'endTxnMarker' "$dir/out")" -ge 30 ]
say $? "transaction markers are understood"
for codec in none gzip snappy lz4 zstd; do
    grep -qi "compresscodec: $codec" "$dir/out"
    say $? "batches of codec $codec"
done
dump --files "$(list .index),$(list .timeindex)"
[ $? -eq 0 ] && ! grep -qiE 'mismatch|exception|error' "$dir/out"
say $? "indexes fit their logs"
dump --index-sanity-check --files "$(list .index),$(list .timeindex)"
[ $? -eq 0 ] && ! grep -qiE 'exception|error|corrupt' "$dir/out"
say $? "indexes pass the sanity check"
dump --verify-index-only --files "$(list .index)"
[ $? -eq 0 ] && ! grep -qiE 'mismatch|exception|error' "$dir/out"
say $? "index entries point at batches"
dump --files "$(list .txnindex),$(list .snapshot)"
[ $? -eq 0 ] && grep -q 'producerId: ' "$dir/out" && ! grep -qiE 'exception|error' "$dir/out"
say $? "transaction indexes and producer snapshots are read"
echo "1..$n"
exit $bad
