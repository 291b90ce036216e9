#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh SECONDS [TARGET...]: clang's libFuzzer on every target of tests/fuzz, that long each.
# Corpora are kept in build-fuzz/corpus; what crashes a target stays in build-fuzz and fails this.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
build=build-fuzz
clang=$(command -v clang || command -v clang-14) || { echo "fuzz: no clang; make deps" >&2; exit 1; }

if [ ! -f $build/build.ninja ]; then
    CC=$clang meson setup $build --buildtype=debugoptimized -Dwerror=false -Db_lundef=false \
        -Db_sanitize=address,undefined -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
fi
# The libraries only: the programs of the tests have a main() of their own.
libraries=$(python3 - "$build" <<'PY'
import json, subprocess, sys
targets = json.loads(subprocess.check_output(["meson", "introspect", "--targets", sys.argv[1]]))
names = [t["filename"][0] for t in targets if t["type"] == "static library" and "/src/" in t["filename"][0]]
import os
print(" ".join(os.path.relpath(name, sys.argv[1]) for name in names))
PY
)
# shellcheck disable=SC2086
ninja -C $build $libraries >$build/fuzz-build.log || { tail -n 20 $build/fuzz-build.log; exit 1; }

failed=0 passed=0
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz_}
    case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
    archives=$(for library in $libraries; do echo "$build/$library"; done)
    # shellcheck disable=SC2086
    "$clang" -std=gnu17 -g -O1 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Isrc -I$build/src \
        -Itests/fuzz -o "$build/fuzz_$name" "$source" -Wl,--start-group $archives -Wl,--end-group \
        -lisal -ljansson -lmicrohttpd -llz4 -lzstd -lz -lsnappy -lcrypto -lcrypt -lpthread -lm
    mkdir -p "$build/corpus/$name"
    echo "fuzz: $name, $seconds s"
    if "$build/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/$name-" "$build/corpus/$name" >"$build/$name.log" 2>&1; then
        passed=$((passed + 1))
        grep -h 'stat::number_of_executed_units' "$build/$name.log" || true
    else
        failed=$((failed + 1))
        tail -n 30 "$build/$name.log"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
