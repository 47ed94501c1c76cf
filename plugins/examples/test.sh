#!/bin/sh
# Runs the examples' own tests, each as its README.md says. They have to be built
# before.
#
#   plugins/examples/test.sh [LANGUAGE]...
set -eu

cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target}"

if [ $# -eq 0 ]; then
    # The languages are the folders with a build script.
    for script in */build.sh; do
        set -- "$@" "${script%/build.sh}"
    done
fi
for language; do
    echo "== $language"
    case $language in
    rust) (cd rust && cargo test) ;;
    javascript | typescript) (cd "$language" && npm --silent test) ;;
    python) (cd python && PYTHONPATH=src python3 -m unittest discover tests) ;;
    c | go) "$language/build.sh" --test ;;
    *)
        echo "test.sh: there is no example in '$language'" >&2
        exit 2
        ;;
    esac
done
