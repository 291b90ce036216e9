#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A real Kafka, from Maven alone, as the counterpart that our broker is compared with.
#
#   kafka.sh fetch                        copy the jars into the cache (once)
#   kafka.sh start PORT DIR [KEY=VALUE]   format DIR if it is new, start, return when PORT accepts
#   kafka.sh stop DIR                     clean stop (SIGTERM), wait for the end
#   kafka.sh kill DIR                     SIGKILL
#   kafka.sh tool CLASS [ARG...]          run a tool, e.g. TopicCommand, consumer.ConsoleConsumer
#   kafka.sh classpath                    print the class path
#
# KEY=VALUE pairs are lines for server.properties. The log directory is DIR/log, the server's
# output DIR/server.out. The controller listens on PORT+1 (or KAFKA_CONTROLLER_PORT).
# The jars live in FLUXMQ_CACHE (default ~/.cache/fluxmq); KAFKA_HEAP (default 512M) is the heap.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${FLUXMQ_CACHE:-$HOME/.cache/fluxmq}
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
libs=$cache/kafka-$version

die() { echo "kafka.sh: $*" >&2; exit 1; }

fetch() {
    [ -f "$libs/.complete" ] && return 0
    command -v mvn >/dev/null || die "mvn is missing: apt-get install maven"
    rm -rf "$libs.part"
    mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$libs.part" -DincludeScope=runtime >&2
    rm -rf "$libs"
    mv "$libs.part" "$libs"
    cat >"$libs/log4j2.properties" <<'LOG'
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
LOG
    : >"$libs/.complete"
}

run_java() {
    # The archive of shared classes and the serial collector make short tools start faster.
    java -XX:+UseSerialGC -XX:TieredStopAtLevel="${KAFKA_TIER:-4}" -Xshare:auto \
        -Dlog4j2.configurationFile="$libs/log4j2.properties" \
        -cp "$libs/*" "$@"
}

properties() { # PORT DIR [KEY=VALUE...]
    port=$1 dir=$2
    shift 2
    controller=${KAFKA_CONTROLLER_PORT:-$((port + 1))}
    cat <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=50
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
CONF
    for pair in "$@"; do echo "$pair"; done
}

alive() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

start() {
    [ $# -ge 2 ] || die "start PORT DIR [KEY=VALUE...]"
    fetch
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    alive "$dir" && die "already running in $dir"
    port=$1
    shift 2
    properties "$port" "$dir" "$@" >"$dir/server.properties"
    if [ ! -f "$dir/log/meta.properties" ]; then
        run_java kafka.tools.StorageTool format -t "${KAFKA_CLUSTER_ID:-AAAAAAAAQACAAAAAAAAAAQ}" \
            -c "$dir/server.properties" >"$dir/format.out" 2>&1 || die "format failed: $dir/format.out"
    fi
    setsid java "-Xmx${KAFKA_HEAP:-512M}" -XX:+UseG1GC ${KAFKA_JVM:-} \
        -Dlog4j2.configurationFile="$libs/log4j2.properties" \
        -cp "$libs/*" kafka.Kafka "$dir/server.properties" >"$dir/server.out" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    tries=0
    until bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null; do
        alive "$dir" || die "Kafka ended early: $dir/server.out"
        tries=$((tries + 1))
        [ $tries -lt 600 ] || die "Kafka does not answer on port $port: $dir/server.out"
        sleep 0.1
    done
}

end() { # SIGNAL DIR
    [ -f "$2/pid" ] || die "nothing was started in $2"
    kill "-$1" "$(cat "$2/pid")" 2>/dev/null || true
    tries=0
    while alive "$2"; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || die "Kafka in $2 does not stop"
        sleep 0.1
    done
    rm -f "$2/pid"
}

verb=${1:-}
[ $# -gt 0 ] && shift
case $verb in
fetch) fetch && echo "$libs" ;;
classpath) fetch && echo "$libs/*" ;;
start) start "$@" ;;
stop) end TERM "$1" ;;
kill) end KILL "$1" ;;
tool)
    fetch
    class=$1
    shift
    case $class in
    kafka.* | org.*) ;;
    ConfigCommand) class=kafka.admin.ConfigCommand ;;
    *) class=org.apache.kafka.tools.$class ;;
    esac
    run_java "$class" "$@"
    ;;
*) die "verbs: fetch, start, stop, kill, tool, classpath" ;;
esac
