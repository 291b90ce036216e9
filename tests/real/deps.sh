#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetches the client libraries that tests/real runs, each by its own package manager, into the
# cache (FLUXMQ_CACHE, default ~/.cache/fluxmq). What is there already is left alone. A missing
# package manager is said and passed over: run.py then counts that client's suite as skipped.
# deps.sh demo: only what demo/cdc needs.
set -u

here=$(cd "$(dirname "$0")" && pwd)
cache=${FLUXMQ_CACHE:-$HOME/.cache/fluxmq}
. "$here/../../tools/step.sh"

# Maven waits half an hour for a mirror that says nothing, and does not ask again.
export MAVEN_OPTS="${MAVEN_OPTS:-} -Dmaven.wagon.rto=60000 -Dmaven.wagon.http.retryHandler.count=3 \
    -Daether.connector.requestTimeout=60000"

java_client() {
    rm -rf "$cache/java-$1" && mvn -q -B -Dstyle.color=never -f "$here/java/pom.xml" dependency:copy-dependencies \
        -Dclient="$1" -DincludeScope=runtime -DoutputDirectory="$cache/java-$1"
}

ecosystem() {
    rm -rf "$cache/ecosystem" && mvn -q -B -Dstyle.color=never -f "$here/ecosystem/pom.xml" \
        dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/ecosystem"
}

python_clients() {
    rm -rf "$cache/python" && python3 -m venv "$cache/python" &&
        "$cache/python/bin/pip" install -q --disable-pip-version-check -r "$here/python/requirements.txt"
}

node_client() {
    mkdir -p "$cache/node" && cp "$here/node/package.json" "$cache/node/" &&
        (cd "$cache/node" && npm install --silent --no-package-lock --no-audit --no-fund)
}

go_client() { (cd "$here/go" && go build -buildvcs=false -o "$cache/go-client" .); }

# Debian 12's Go is older than franz-go wants, and no other one is fetched.
export GOTOOLCHAIN=local
go_is_new() {
    wanted=$(sed -n 's/^go //p' "$here/go/go.mod")
    found=$(go env GOVERSION | sed 's/^go//; s/ .*//')
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] && return 0
    echo "deps: go $found is older than $wanted, so the tests of franz-go will be skipped"
    return 1
}

debezium() {
    rm -rf "$cache/debezium" && mvn -q -B -Dstyle.color=never -f "$here/../../demo/cdc/pom.xml" \
        dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/debezium"
}

if have mvn && have java; then
    step ecosystem "$here/ecosystem/pom.xml" ecosystem
    step debezium "$here/../../demo/cdc/pom.xml" debezium
fi
[ "${1:-}" != demo ] || exit $status

# Not in tools/deps-test.txt: where Node.js came with its own npm, Debian's npm cannot be installed.
if ! command -v npm >/dev/null; then
    list=$(mktemp)
    printf 'nodejs\nnpm\n' >"$list"
    "$here/../../tools/deps.sh" "$list"
    rm -f "$list"
fi

if have mvn && have java; then
    step kafka "$here/../kafka/pom.xml" "$here/../kafka/kafka.sh" fetch
    for version in 4.4.0 3.9.2 2.8.2 2.0.1 1.1.1 0.10.2.2; do
        step "java-$version" "$here/java/pom.xml" java_client $version
    done
fi
have python3 && step python "$here/python/requirements.txt" python_clients
have npm && step node "$here/node/package.json" node_client
have go && go_is_new && step go "$here/go/go.sum" go_client
exit $status
