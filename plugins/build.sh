#!/bin/sh
# Builds the plugins to finished components, plugins/dist/*.wasm.
#
#   plugins/build.sh [-p PACKAGE]... [other arguments of cargo build]
#
# Without -p it builds every plugin of the workspace. The linker makes the
# component, hence no further tool is needed; a Rust for wasm32 is: either
# rustup's target, or Debian's second toolchain, which compiles the standard
# library from its sources (a minute, the first time).
set -eu

plugins=$(cd "$(dirname "$0")" && pwd)
target=wasm32-unknown-unknown

fail() {
    printf '%s\n' "build.sh: $*" >&2
    exit 1
}

# What rustup lacks is to be said, not fetched.
export RUSTUP_AUTO_INSTALL=0

command -v rustc >/dev/null || fail "rustc is missing: install Rust 1.95 or newer with rustup"
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
if [ ! -x "$tools/wasm-component-ld" ] || [ ! -x "$tools/gcc-ld/wasm-ld" ]; then
    fail "$tools lacks wasm-component-ld: it comes with rustup's toolchains (rustup toolchain install 1.95)"
fi

debian_sources() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ]
}

if [ -d "$(rustc --print target-libdir --target "$target")" ]; then
    set -- cargo build "$@"
elif debian_sources; then
    # It is a stable compiler; building the standard library is unstable.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    set -- /usr/bin/cargo build -Z build-std=std,panic_abort "$@"
else
    fail "no Rust for $target. Run: rustup target add $target; or, on Debian: tests/env/install.sh wasm"
fi

# wasm-component-ld calls wasm-ld, and makes a component of what that links.
PATH=$tools/gcc-ld:$PATH
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$tools/wasm-component-ld
export PATH CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER

dist=$plugins/dist
mkdir -p "$dist"
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
trap 'exit 130' INT TERM

# Cargo itself tells what it has built and where.
"$@" --manifest-path "$plugins/Cargo.toml" --target "$target" --release \
    --message-format json-render-diagnostics >"$messages"

grep -q "/$target/release/[^/\"]*\.wasm\"" "$messages" ||
    fail "Cargo built no component: is the package's crate-type cdylib?"
grep -o "\"[^\"]*/$target/release/[^/\"]*\\.wasm\"" "$messages" | tr -d '"' | sort -u |
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
