#!/bin/sh
# Builds the plugin to a component.
#
#   ./build.sh [FILE]     dist/team_naming.wasm if no file is named
#   ./build.sh --types    writes the modules of the contract to build/contract, for editors and type checkers
#
# Its tool comes from PyPI, into .venv, in the version of requirements.txt.
set -eu

project=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
"" | --types) output=$project/dist/team_naming.wasm ;;
/*) output=$1 ;;
*) output=$PWD/$1 ;;
esac
cd "$project"

say() { printf 'build.sh: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

installed=.venv/installed.txt
if ! cmp -s requirements.txt "$installed"; then
    command -v python3 >/dev/null 2>&1 ||
        fail "python3 is missing: install Python 3.10 or newer (on Debian: apt-get install -y python3 python3-venv)"
    rm -rf .venv
    python3 -m venv .venv >&2 ||
        fail "python3 cannot make a virtual environment (on Debian: apt-get install -y python3-venv)"
    # Said before, and not tried for minutes, so that who has no network knows at once what is lacking.
    wanted=$(sed 's/ *#.*//' requirements.txt | xargs)
    say "installing $wanted into .venv, once"
    .venv/bin/python -m pip --disable-pip-version-check --quiet --retries 1 --timeout 15 \
        install --requirement requirements.txt >&2 ||
        fail "pip could not install $wanted; without a network, have their wheels in a folder and set PIP_NO_INDEX=1 and PIP_FIND_LINKS to it"
    cp requirements.txt "$installed"
fi

if [ "${1:-}" = --types ]; then
    rm -rf build/contract
    exec .venv/bin/componentize-py --quiet --wit-path wit --world stage-component bindings build/contract
fi

# What a build that fails has begun is not left behind.
trap 'rm -f "$output.new"' EXIT
trap 'exit 130' INT TERM

# still.c has the tool see nothing of this machine, so that one source gives one component. Where it cannot be
# had, each build gives another one, and make_component.py says so.
mkdir -p "$(dirname "$output")" build
still=build/still.so
compiler=${CC:-cc}
if ! command -v "$compiler" >/dev/null 2>&1; then
    STILL_LACKING="there is no C compiler (on Debian: apt-get install -y gcc libc6-dev)"
elif ! "$compiler" -std=gnu11 -O2 -shared -fPIC -o "$still" still.c >build/still.txt 2>&1; then
    STILL_LACKING="still.c cannot be compiled here, see $project/build/still.txt"
fi
if [ -n "${STILL_LACKING:-}" ]; then
    export STILL_LACKING
    still=
fi

make() { LD_PRELOAD="$still ${LD_PRELOAD-}" .venv/bin/python make_component.py "$output.new" >&2; }
make || {
    # A signal ended it: what it was loaded with does not do on this machine.
    [ $? -gt 128 ] && [ -n "$still" ] && {
        export STILL_LACKING="it does not run with still.c"
        still=
        make
    }
} || fail "src/plugin.py could not be made a component"
# Put into place when whole.
mv "$output.new" "$output"
