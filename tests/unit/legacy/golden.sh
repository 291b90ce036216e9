#!/bin/sh
# SPDX-License-Identifier: MIT
# golden.sh OUT: writes message-sets.jsonl.gz with the classes of Kafka 2.0.1 and 3.9.2, whose jars tests/real/deps.sh
# has put into the cache. tests/data/message-sets.jsonl.gz was made so; gzip -n makes the same file again.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
cache=${FLUXMQ_CACHE:-$HOME/.cache/fluxmq}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 2.0.1 3.9.2; do
  jars="$cache/java-$version"
  mkdir "$work/$version"
  javac -cp "$jars/*" -d "$work/$version" "$here/Golden.java" >&2
  java -cp "$work/$version:$jars/*" Golden "$version" >> "$work/all.jsonl"
done
gzip -n9 < "$work/all.jsonl" > "$out"
