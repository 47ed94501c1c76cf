#!/bin/sh
# Builds the examples to plugins/dist/example_<language>.wasm, each by its own
# build.sh.
#
#   plugins/examples/build.sh [LANGUAGE]...
#
# Without a language it builds all of them. One whose files are those that it was
# built from is left as it is.
set -eu

examples=$(cd "$(dirname "$0")" && pwd)
plugins=$(dirname "$examples")
dist=$plugins/dist

# The standard library and the SDK's dependencies are compiled once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$plugins/target}" WHARFINGER_SOURCES="$plugins"

# What a component is made from, without what a build has left behind.
digest() {
    folders=$examples/$1
    [ "$1" != rust ] || folders="$folders $plugins/sdk $plugins/Cargo.toml"
    # shellcheck disable=SC2086 # a list of paths
    find $folders "$plugins/../wit" \
        \( -name target -o -name dist -o -name build -o -name node_modules -o -name .venv -o -name __pycache__ -o -name cases \) -prune \
        -o -type f -exec sha256sum {} + | sort | sha256sum
}

if [ $# -eq 0 ]; then
    # The languages are the folders with a build script.
    for script in "$examples"/*/build.sh; do
        set -- "$@" "$(basename "${script%/build.sh}")"
    done
fi
mkdir -p "$dist"
for language; do
    component=$dist/example_$language.wasm
    made_from=$dist/.example_$language.digest
    now=$(digest "$language")
    if [ ! -f "$component" ] || [ "$(cat "$made_from" 2>/dev/null)" != "$now" ]; then
        rm -f "$made_from"
        "$examples/$language/build.sh" "$component" || {
            printf 'build.sh: the example in %s could not be built\n' "$language" >&2
            exit 1
        }
        # A build may have made files anew that belong to the project, as Cargo its lock file.
        digest "$language" >"$made_from"
    fi
    echo "$component"
done
