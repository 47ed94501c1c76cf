#!/bin/sh
# Builds the plugin to a component.
#
#   ./build.sh [FILE]     dist/team_naming.wasm if no file is named
#   ./build.sh --types    writes the modules of the contract to build/contract, for editors and type checkers
#
# Its tool comes from PyPI, into .venv, in the version of requirements.txt. Packages that the plugin imports are those of
# packages.txt, if there is one, and go to build/packages.
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

# Packages of pure Python alone: the component has no loader for code of a machine.
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet --retries 1 --timeout 15 "$@"; }
# Of what pip would take for this machine, the wheels of native code; those that its words name, if they name any.
native() {
    .venv/bin/python - <<'END'
import json

with open("build/pip.json") as report, open("build/pip.txt") as words:
    said = words.read()
    taken = [(one["metadata"]["name"], one["download_info"]["url"].rsplit("/", 1)[-1]) for one in json.load(report)["install"]]
native = [(name, wheel) for name, wheel in taken if not wheel.endswith("-any.whl")]
print(", ".join(f"{name} ({wheel})" for name, wheel in [one for one in native if one[0].lower() in said.lower()] or native))
END
}
packages() {
    packages=$(sed 's/ *#.*//' packages.txt | xargs)
    [ -n "$packages" ] || fail "packages.txt names no package"
    say "installing $packages into build/packages, once"
    rm -rf build/packages.new build/pip.json
    set -- --requirement packages.txt --only-binary :all: --target build/packages.new
    # The interpreter in the component is 3.14, whatever this machine has.
    pip install --no-compile "$@" --implementation py --abi none --platform any --python-version 3.14 >build/pip.txt 2>&1 || {
        # It says that there is no such version; a look at what there is for this machine says why.
        native=
        pip install --dry-run --ignore-installed --report build/pip.json "$@" >/dev/null 2>&1 && native=$(native)
        cat build/pip.txt >&2
        [ -z "$native" ] || fail "$native of packages.txt: native code, and a component has room for pure Python alone"
        fail "pip could not install the wheels of $packages; without a network, have their wheels in a folder and set PIP_NO_INDEX=1 and PIP_FIND_LINKS to it"
    }
    # Programs are of no use in there, and name this machine's folders.
    rm -rf build/packages.new/bin build/pip.txt build/pip.json
    native=$(find build/packages.new -name '*.so' -o -name '*.pyd' -o -name '*.dylib' | sed 's|^build/packages.new/||' | head -n 3 | xargs)
    [ -z "$native" ] || fail "$native of packages.txt: native code, and a component has room for pure Python alone"
    # Those before stay until these are whole.
    rm -rf build/packages build/packages.txt
    mv build/packages.new build/packages
    cp packages.txt build/packages.txt
}
mkdir -p build
if [ ! -e packages.txt ]; then
    rm -rf build/packages build/packages.txt
elif ! cmp -s packages.txt build/packages.txt; then
    packages
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
mkdir -p "$(dirname "$output")"
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
