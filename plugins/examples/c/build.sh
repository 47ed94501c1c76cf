#!/bin/sh
# Builds the plugin to a component, or its tests to a program, and runs them.
#
#   ./build.sh [FILE]     dist/team_naming.wasm if no file is named
#   ./build.sh --test
#
# The compiler comes from PyPI, into .venv, in the versions of requirements.txt.
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

installed=.venv/installed.txt
if ! cmp -s requirements.txt "$installed"; then
    command -v python3 >/dev/null 2>&1 ||
        fail "python3 is missing: install Python 3.8 or newer (on Debian: apt-get install -y python3 python3-venv)"
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

compile() {
    .venv/bin/python -m ziglang cc -std=c11 -Wall -Wextra -Werror "$@"
}

mkdir -p dist
if [ "${1:-}" = --test ]; then
    compile -g -fsanitize=undefined -o dist/test ./*.c tests/*.c || fail "the tests could not be compiled"
    exec dist/test
fi

# What a build that fails has begun is not left behind.
work=$(mktemp -d)
trap 'rm -rf "$work" "$output.new"' EXIT
trap 'exit 130' INT TERM

# A reactor is a library for Wasm. The C library is WASI's, of which the part in
# use needs nothing from the host.
compile --target=wasm32-wasi-musl -mexec-model=reactor -Oz -flto -s -Wl,-z,stack-size=65536 \
    -o "$work/core.wasm" ./*.c bindings/*.c || fail "the plugin could not be compiled"

# The types of the contract are written into the module, which is then wrapped
# as a component; put into place when whole.
mkdir -p "$(dirname "$output")"
.venv/bin/wasm-tools component embed wit "$work/core.wasm" --world stage-component -o "$work/typed.wasm" &&
    .venv/bin/wasm-tools component new "$work/typed.wasm" -o "$output.new" ||
    fail "the module could not be made a component"
mv "$output.new" "$output"
