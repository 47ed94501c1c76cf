#!/bin/sh
# Runs a command of Cargo for WebAssembly, with a linker that makes components.
#
#   cargo-wasm.sh build [arguments of cargo build]
#
# No further tool is needed, but a Rust for wasm32 is: either rustup's target, or
# Debian's second toolchain, which compiles the standard library from its
# sources (a minute, the first time).
set -eu

target=wasm32-unknown-unknown

fail() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# What rustup lacks is to be said, not fetched.
export RUSTUP_AUTO_INSTALL=0
# Nor is a registry tried for long that cannot be reached.
export CARGO_NET_RETRY="${CARGO_NET_RETRY:-1}"

command -v rustc >/dev/null || fail "rustc is missing: install Rust 1.95 or newer with rustup"
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
if [ ! -x "$tools/wasm-component-ld" ] || [ ! -x "$tools/gcc-ld/wasm-ld" ]; then
    fail "$tools lacks wasm-component-ld: it comes with rustup's toolchains (rustup toolchain install 1.95)"
fi

# wasm-component-ld calls wasm-ld, and makes a component of what that links.
PATH=$tools/gcc-ld:$PATH
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$tools/wasm-component-ld
export PATH CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER

# A stack of 128 KiB instead of a megabyte: each call gets a memory of its own, and what is smaller is
# cleared faster. Flags that are there already stay.
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="${CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS-} -C link-arg=-zstack-size=131072"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS

# One source is to give one component, wherever it lies and whoever builds it. So the paths that panics name are the
# same on every machine: those of the sources of Cargo and of the standard library, and of WHARFINGER_SOURCES, where whoever calls
# this has some beside the project. A project's own are relative.
remapped() {
    printf '"--remap-path-prefix=%s=%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')" "$2"
}
run() {
    cargo=$1 compiler=$2
    shift 2
    library=$("$compiler" --print sysroot)/lib/rustlib/src/rust
    commit=$("$compiler" -vV | sed -n 's/^commit-hash: //p')
    paths=$(remapped "${CARGO_HOME:-$HOME/.cargo}" /cargo),$(remapped "$library" "/rustc/$commit")
    [ -z "${WHARFINGER_SOURCES:-}" ] || paths=$paths,$(remapped "$WHARFINGER_SOURCES" /sources)
    exec "$cargo" --config "target.$target.rustflags=[$paths]" "$@" --target "$target"
}

debian_sources() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ]
}

if [ -d "$(rustc --print target-libdir --target "$target")" ]; then
    run cargo rustc "$@"
elif debian_sources; then
    # It is a stable compiler; building the standard library is unstable.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    run /usr/bin/cargo /usr/bin/rustc -Z build-std=std,panic_abort "$@"
fi
fail "no Rust for $target. Run: rustup target add $target; or, on Debian: apt-get install -y rustc-web cargo-web rust-web-src"
