#!/bin/sh
# SPDX-License-Identifier: MIT
# place.sh BUILD: the program where users look for it, BUILD/fluxmq, wherever meson put it.
set -eu
[ -f "$1/fluxmq" ] && [ ! -L "$1/fluxmq" ] && exit 0
ln -sfn src/main/fluxmq "$1/fluxmq"
