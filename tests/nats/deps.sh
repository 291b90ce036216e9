#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetches nats-server and the clients that tests/nats and bench/nats run, each by its own package
# manager, into the cache (FLUXMQ_CACHE, default ~/.cache/fluxmq). What is there already is left
# alone. A missing package manager is said and passed over: its tests are then skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
cache=${FLUXMQ_CACHE:-$HOME/.cache/fluxmq}/nats
export GOTOOLCHAIN=local
. "$here/../../tools/step.sh"
mkdir -p "$cache/bin"

server() {
    version=$(sed -n 's/^nats-server\t//p' "$here/versions.tsv")
    GOBIN="$cache/bin" go install "github.com/nats-io/nats-server/v2@$version"
}

go_client() { (cd "$here/clients/go" && go build -buildvcs=false -o "$cache/go-client" .); }

c_client() { cc -O1 -Wall -Wextra -o "$cache/c-client" "$here/clients/client.c" -lnats; }

python_client() {
    rm -rf "$cache/python" && python3 -m venv "$cache/python" &&
        "$cache/python/bin/pip" install -q --disable-pip-version-check -r "$here/clients/requirements.txt"
}

node_client() {
    mkdir -p "$cache/node" && cp "$here/clients/package.json" "$here/clients/node.cjs" "$cache/node/" &&
        (cd "$cache/node" && npm install --silent --no-package-lock --no-audit --no-fund)
}

go_tests() { python3 "$here/gotests.py" --prepare; }

if have go; then
    step nats-server "$here/versions.tsv" server
    cat "$here/versions.tsv" "$here/gotests.py" "$here"/go/*.go >"$cache/go-tests.made-of"
    step nats-go-tests "$cache/go-tests.made-of" go_tests
    step nats.go "$here/clients/go/main.go" go_client
fi
[ -e /usr/include/nats/nats.h ] && step nats.c "$here/clients/client.c" c_client
have python3 && step nats-py "$here/clients/requirements.txt" python_client
have npm && step nats.js "$here/clients/package.json" node_client
[ ! -d "$cache/node" ] || cp "$here/clients/node.cjs" "$cache/node/"
exit $status
