#!/bin/sh
# SPDX-License-Identifier: MIT
# deps.sh LIST...: installs the Debian packages of the lists that are not there yet. Says nothing
# and needs no rights when nothing is missing. A line PACKAGE:COMMAND is done where COMMAND is there,
# wherever it came from.
set -eu

missing=
for package in $(sed 's/#.*//' "$@"); do
    case $package in
    *:*)
        command -v "${package#*:}" >/dev/null && continue
        package=${package%%:*}
        ;;
    esac
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || { echo "deps: run this as root: apt-get install$missing" >&2; exit 1; }
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
again="-o Acquire::Retries=5"
# shellcheck disable=SC2086
$sudo apt-get update -qq $again >"$log" 2>&1 || true
# shellcheck disable=SC2086
if ! $sudo apt-get install -y -qq $again --no-install-recommends $missing >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 1
fi
rm -f "$log"
