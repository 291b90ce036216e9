#!/bin/sh
# SPDX-License-Identifier: MIT
# dump.sh SAMPLE KAFKA.SH: Kafka's DumpLogSegments with the metadata decoder on logs, snapshots and the
# bootstrap checkpoint that we wrote finds nothing wrong. TAP.
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
say $? "metadata is written"
list() { ls "$dir"/$1 | tr '\n' ',' | sed 's/,$//'; }
dump() { KAFKA_HEAP=256M "$kafka" tool DumpLogSegments "$@" >"$dir/out" 2>&1; }
count() { grep -c "$1" "$dir/out"; }
clean() {
    ! grep -qiE 'isvalid: false|mismatch|exception|error|unknown|skipping' "$dir/out" &&
        ! grep ' is followed by ' "$dir/out" | grep -qv '^ *-1 is'
}

dump --cluster-metadata-decoder --deep-iteration --files "$(list 'plain/__cluster*/*.log')"
say $? "the log is dumped"
clean
say $? "nothing is wrong with it"
[ "$(count '"type":"TOPIC_RECORD"')" -eq 90 ] && [ "$(count '"type":"REMOVE_TOPIC_RECORD"')" -eq 3 ]
say $? "every topic is there"
[ "$(count '"type":"PARTITION_RECORD"')" -eq 270 ] && [ "$(count '"type":"CONFIG_RECORD"')" -eq 181 ]
say $? "so are partitions and settings"
[ "$(count 'LeaderChange')" -eq 3 ] && [ "$(count '"type":"REGISTER_BROKER_RECORD"')" -eq 3 ]
say $? "each start is a leader's"
[ "$(count '"type":"PARTITION_CHANGE_RECORD"')" -eq 87 ]
say $? "leader epochs rise after an unclean stop only"
[ "$(count '"type":"PRODUCER_IDS_RECORD"')" -eq 90 ]
say $? "blocks of producer ids"

dump --cluster-metadata-decoder --deep-iteration --files "$(list 'snapshots/__cluster*/*.checkpoint')"
say $? "a snapshot is dumped"
clean
say $? "nothing is wrong with it"
[ "$(count 'SnapshotHeader')" -eq 1 ] && [ "$(count 'SnapshotFooter')" -eq 1 ]
say $? "with a header and a footer"
[ "$(count '"type":"FEATURE_LEVEL_RECORD"')" -eq 6 ] && [ "$(count '"type":"TOPIC_RECORD"')" -ge 58 ]
say $? "it holds features and topics"
dump --cluster-metadata-decoder --deep-iteration --files "$(list 'snapshots/__cluster*/*.log')"
say $? "the log behind it is dumped"
clean
say $? "nothing is wrong with it"

dump --cluster-metadata-decoder --files "$(list '*/bootstrap.checkpoint')"
say $? "bootstrap.checkpoint is dumped"
clean && [ "$(count '"type":"FEATURE_LEVEL_RECORD"')" -eq 12 ]
say $? "nothing is wrong with it"
dump --index-sanity-check --files "$(list '*/__cluster*/*.index'),$(list '*/__cluster*/*.timeindex')"
[ $? -eq 0 ] && ! grep -qiE 'exception|error|corrupt' "$dir/out"
say $? "indexes pass the sanity check"
echo "1..$n"
exit $bad
