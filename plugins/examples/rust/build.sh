#!/bin/sh
# Builds the plugin to a component.
#
#   ./build.sh [FILE]     dist/team_naming.wasm if no file is named
#
# cargo-wasm.sh finds the tools, or says how to get them.
set -eu

project=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
"") output=$project/dist/team_naming.wasm ;;
/*) output=$1 ;;
*) output=$PWD/$1 ;;
esac
cd "$project"

fail() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

messages=$(mktemp)
trap 'rm -f "$messages" "$output.new"' EXIT
trap 'exit 130' INT TERM

# Cargo itself tells what it has built and where.
./cargo-wasm.sh build --release --message-format json-render-diagnostics >"$messages" ||
    fail "the plugin could not be compiled"
module=$(grep -o '"[^"]*/release/team_naming\.wasm"' "$messages" | tr -d '"' | tail -n 1)
[ -n "$module" ] || fail "Cargo built no team_naming.wasm: is the crate-type cdylib?"

# Put into place when whole.
mkdir -p "$(dirname "$output")"
cp "$module" "$output.new"
mv "$output.new" "$output"
