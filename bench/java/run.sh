#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh PROGRAM [HOST:PORT] [ARG...]   runs one of the benchmark programs, compiled when they changed
# run.sh --classpath                    compiles and prints the class path
#
# JAVA_OPTS goes to the JVM. The client's jars are those of tests/real/deps.sh (make deps), in FLUXMQ_CACHE
# (default ~/.cache/fluxmq); where they are missing, Maven fetches them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${FLUXMQ_CACHE:-$HOME/.cache/fluxmq}
version=$(sed -n 's:.*<client>\(.*\)</client>.*:\1:p' "$here/pom.xml")
libs=$cache/java-$version
classes=$cache/classes-bench
sources=$here/src/main/java/com/fluxmq/tests

compile() {
    if ! ls "$libs"/kafka-clients-*.jar >/dev/null 2>&1; then
        mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
            -DoutputDirectory="$libs" >&2
    fi
    if [ ! -f "$classes/done" ] || [ -n "$(find "$sources" -newer "$classes/done")" ]; then
        rm -rf "$classes"
        mkdir -p "$classes"
        javac -Xlint:all -Werror -proc:none --release 17 -d "$classes" -cp "$libs/*" "$sources"/*.java
        : >"$classes/done"
    fi
}

case ${1:-} in
"" | -h | --help)
    sed -n '3,9s/^# \{0,1\}//p' "$0"
    ls "$sources" | sed -n 's/\(.*\(Benchmark\|Test\|Monitor\)\)\.java$/  \1/p'
    exit 0
    ;;
esac
mkdir -p "$cache"
(
    flock 9 # several may be started at once
    compile
) 9>"$cache/classes-bench.lock"
if [ "$1" = --classpath ]; then
    echo "$libs/*:$classes"
    exit 0
fi
# Clients warn that a topic is not there yet when they make it.
logger=-Dorg.slf4j.simpleLogger
quiet="$logger.defaultLogLevel=warn $logger.log.org.apache.kafka.clients.NetworkClient=error"
program=$1
shift
# shellcheck disable=SC2086
exec java ${JAVA_OPTS:-} $quiet -cp "$libs/*:$classes" \
    "com.fluxmq.tests.$program" "$@"
