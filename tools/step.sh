# SPDX-License-Identifier: MIT
#
# Read by the scripts that fetch what tests need, each into a folder of the cache: they set `cache` to it before, and
# end with `exit $status`.

status=0
mkdir -p "$cache"

# step NAME FILE COMMAND...: runs COMMAND unless NAME was done with this very FILE before; a mirror that does not
# answer is asked again.
step() {
    name=$1 stamp=$cache/$1.stamp file=$2
    shift 2
    if [ -f "$stamp" ] && cmp -s "$stamp" "$file"; then return 0; fi
    echo "deps: $name"
    for pause in 5 20 60 0; do
        if "$@"; then
            cp "$file" "$stamp"
            return 0
        fi
        [ $pause = 0 ] || echo "deps: $name failed, once more in $pause s" >&2
        sleep $pause
    done
    echo "deps: $name failed" >&2
    status=1
}

have() {
    command -v "$1" >/dev/null && return 0
    echo "deps: no $1, so its tests will be skipped"
    return 1
}
