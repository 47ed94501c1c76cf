#!/usr/bin/env bash
# Installs and builds what the demo shows, and nothing else: `make demo` runs it
# first. What is there already is left as it is, so that an interrupted run goes on
# where it was.
#
# The machine's packages are installed, and the plugin is built, while the program is compiled.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/demo/terminal.sh
. tests/demo/terminal.sh

make=${MAKE:-make}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/wf-prepare-XXXXXX")
side=''
clean_up() {
    # It leads a group of its own, so that what it has started ends with it.
    [[ -z $side ]] || kill -- "-$side" 2>/dev/null || true
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# For how long this has been going on, as 1:05.
elapsed() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }

# How many crates a build may have to compile.
crates() { cargo tree --locked --prefix none --edges normal,build 2>/dev/null | sort -u | wc -l; }

# count_crates TOTAL: Cargo's lines, of which one for every twentieth of the crates is shown.
count_crates() {
    local total=$1 count=0 shown=0 line
    while IFS= read -r line; do
        case $line in
        *Compiling\ *)
            count=$((count + 1))
            if ((count * 20 / total > shown)); then
                shown=$((count * 20 / total))
                line=${line##*Compiling }
                say "  $(elapsed)  $count of about $total crates, now ${line%% (*}"
            fi
            ;;
        *Downloaded\ * | *Downloading\ * | *Locking\ * | *Updating\ * | *Adding\ * | *Blocking\ *) ;;
        *) say "  $line" ;;
        esac
    done
}

# What the demo needs beside the program.
beside() {
    # Where no Docker can be, the demo does without and says so.
    tests/env/install.sh wasm && { tests/env/install.sh docker consul || true; } &&
        # The program is what takes long, so it goes first.
        nice plugins/build.sh -p wharfinger-convention
}

step "What the demo needs: the program, one plugin, Docker and Consul"
tests/env/install.sh build
say "Where nothing is there yet this takes six to nine minutes on two processors, most of them for the"
say "program's dependencies. Interrupted, it goes on where it was."

set -m
beside </dev/null >"$scratch/log" 2>&1 &
side=$!
set +m

step "The program"
# On a terminal Cargo draws a bar of its own.
if [[ -t 2 ]]; then
    "$make" --no-print-directory quick
else
    "$make" --no-print-directory quick 2>&1 >"$scratch/out" | count_crates "$(crates)"
fi
good "$(elapsed)  wharfinger $("${CARGO_TARGET_DIR:-target}/quick/wharfinger" --version)"

step "Docker, Consul, and a plugin in Rust: the convention of an organisation"
while kill -0 "$side" 2>/dev/null; do
    now=$(grep -aE '^ *(Compiling|Get:|Unpacking|Setting up)' "$scratch/log" | tail -n 1 || true)
    [[ $now == "${before:-}" ]] || say "  $(elapsed)  ${now#"${now%%[! ]*}"}"
    before=$now
    for ((i = 0; i < 20; i++)); do
        kill -0 "$side" 2>/dev/null || break
        sleep 0.5
    done
done
status=0
wait "$side" || status=$?
side=''
if ((status != 0)); then
    cat "$scratch/log" >&2
    fail "the plugin could not be built"
fi
good "$(elapsed)  plugins/dist/wharfinger_convention.wasm"
