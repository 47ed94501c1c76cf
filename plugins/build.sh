#!/bin/sh
# Builds the plugins of this workspace to finished components,
# plugins/dist/*.wasm.
#
#   plugins/build.sh [-p PACKAGE]... [other arguments of cargo build]
#
# Without -p it builds every plugin of the workspace. examples/rust/cargo-wasm.sh
# finds the tools, as it does for an author's project.
set -eu

plugins=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf '%s\n' "build.sh: $*" >&2
    exit 1
}

dist=$plugins/dist
mkdir -p "$dist"
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
trap 'exit 130' INT TERM

# The examples are built with the same, so that what is compiled is shared.
export WHARFINGER_SOURCES="$plugins"

# Cargo itself tells what it has built and where.
"$plugins/examples/rust/cargo-wasm.sh" build "$@" --manifest-path "$plugins/Cargo.toml" --release \
    --message-format json-render-diagnostics >"$messages"

grep -q '/release/[^/"]*\.wasm"' "$messages" ||
    fail "Cargo built no component: is the package's crate-type cdylib?"
grep -o '"[^"]*/release/[^/"]*\.wasm"' "$messages" | tr -d '"' | sort -u |
    while read -r module; do
        # The component's version field; a plain module has 01 00 00 00.
        version=$(od -A n -t x1 -j 4 -N 4 "$module" | tr -d ' ')
        [ "$version" = 0d000100 ] || fail "$module is not a component but a core module"
        component=$dist/${module##*/}
        # Renamed into place: who reads it meanwhile sees the whole one.
        cp "$module" "$component.new"
        mv "$component.new" "$component"
        echo "$component"
    done
