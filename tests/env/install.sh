#!/bin/sh
# Installs what the build and the tests need and the machine lacks.
#
#   tests/env/install.sh [build] [docker] [podman] [consul] [wasm] [languages] [prometheus] [policy] [page]
#   tests/env/install.sh fleet packagers packages
#
# Without arguments it sees to all of the first line; the second line's are for the stories of a fleet's faults, and for
# packages and their check. What is there already is left as it
# is, so that running it again costs nothing.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${WHARFINGER_CACHE:-target/test-env}
case $cache in
/*) ;;
*) cache=$root/$cache ;;
esac

# Daemons live in sbin, which is not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
export PATH

minimum_rust=1.95

say() { printf '%s\n' "install.sh: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
has_apt() { have apt-get && have dpkg-deb; }

# The lists are fetched once a run, and only when a package is to be installed.
lists_fetched=
fetch_lists() {
    [ -z "$lists_fetched" ] || return 0
    apt-get -q update >&2
    lists_fetched=yes
}

# install_packages PURPOSE PACKAGE...
install_packages() {
    purpose=$1
    shift
    has_apt || fail "$purpose: missing. Install what your system calls: $*"
    is_root || fail "$purpose: missing. As root, run: apt-get install -y --no-install-recommends $*"
    fetch_lists
    # A service that the package brings along must not be started: the tests
    # start private daemons of their own.
    policy=/usr/sbin/policy-rc.d
    made_policy=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made_policy=yes
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM
    fi
    status=0
    DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "$@" >&2 || status=$?
    if [ -n "$made_policy" ]; then
        rm -f "$policy"
        trap - EXIT INT TERM
    fi
    [ "$status" = 0 ] || fail "$purpose: apt-get could not install: $*"
}

# version_at_least FOUND WANTED
version_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

install_build() {
    have cargo || fail "build: cargo is missing. Install Rust $minimum_rust or newer with rustup (rustup toolchain install $minimum_rust)"
    found=$(cargo --version | cut -d ' ' -f 2)
    version_at_least "$found" "$minimum_rust" ||
        fail "build: cargo is $found, Rust $minimum_rust or newer is needed (rustup toolchain install $minimum_rust)"

    # The C compiler is for the crate ring, make for the Makefile.
    missing=
    have cc || missing="$missing gcc"
    have make || missing="$missing make"
    have pkg-config || missing="$missing pkg-config"
    [ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages build $missing
}

# Docker's images are made of busybox alone, hence it must need no library.
busybox_is_static() {
    have busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1
}

install_docker() {
    missing=
    { have dockerd && have docker && have containerd && have runc; } || missing="$missing docker.io"
    have ip || missing="$missing iproute2"
    have iptables || missing="$missing iptables"
    busybox_is_static || missing="$missing busybox-static"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages docker $missing
}

# It runs containers by runc, which comes with Docker: crun wants a control group
# hierarchy of one version.
install_podman() {
    missing=
    have podman || missing="$missing podman"
    have conmon || missing="$missing conmon"
    have runc || missing="$missing runc"
    [ -x /usr/lib/podman/netavark ] || missing="$missing netavark"
    [ -x /usr/lib/podman/aardvark-dns ] || missing="$missing aardvark-dns"
    have ip || missing="$missing iproute2"
    have iptables || missing="$missing iptables"
    { have unshare && have nsenter; } || missing="$missing util-linux"
    busybox_is_static || missing="$missing busybox-static"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages podman $missing
}

# The address of the Debian archive that this machine uses, whatever the format
# of its sources, so that a local mirror is honoured.
debian_mirror() {
    # shellcheck disable=SC2016 # apt's own placeholders
    apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' |
        sed -n 's/^Packages|Debian|Debian|main|//p' | head -n 1
}

# program_of_debian NAME RELEASE HINT: a program that this machine's own release does not have,
# into the cache. It is taken with an apt that has folders of its own, so that the
# machine's package sources stay as they are. This works without root, too.
program_of_debian() {
    name=$1
    release=$2
    hint=$3
    have "$name" && return 0
    [ ! -x "$cache/bin/$name" ] || return 0

    has_apt || fail "$name: missing; $hint"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r "$keyring" ] || fail "$name: $keyring is missing; install debian-archive-keyring, or $hint"
    mirror=$(debian_mirror)
    if [ -z "$mirror" ] && is_root; then
        fetch_lists
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || fail "$name: apt names no Debian archive (is 'apt-get update' needed?); $hint"

    apt=$cache/apt-$release
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/deb" "$cache/bin"
    echo "deb [signed-by=$keyring] $mirror $release main" >"$apt/sources.list"
    private_apt() {
        # The sandbox user could not write below a private home.
        apt-get -q \
            -o "Dir::Etc::SourceList=$apt/sources.list" \
            -o Dir::Etc::SourceParts=/dev/null \
            -o "Dir::State::Lists=$apt/lists" \
            -o "Dir::Cache=$apt/cache" \
            -o "APT::Sandbox::User=$(id -un)" \
            -o Acquire::Languages=none \
            -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
            "$@" >&2
    }
    private_apt update || fail "$name: Debian $release cannot be reached; $hint"
    (cd "$apt/deb" && private_apt download "$name") ||
        fail "$name: Debian $release has none for this architecture; $hint"
    # Moved into place when whole: an interrupted run leaves no broken binary.
    dpkg-deb --fsys-tarfile "$apt/deb/$name"_*.deb |
        tar -x -O "./usr/bin/$name" >"$cache/bin/.$name.$$"
    chmod 755 "$cache/bin/.$name.$$"
    "$cache/bin/.$name.$$" version >/dev/null ||
        fail "$name: the binary of Debian $release does not run here; $hint"
    mv "$cache/bin/.$name.$$" "$cache/bin/$name"
    rm -rf "$apt"
}

# Consul left Debian after bullseye; the binary of that release needs nothing but
# libc.
install_consul() {
    program_of_debian consul bullseye "put a consul 1.8 or newer on PATH or at $cache/bin/consul"
}

has_wasm_target() {
    have rustc && [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ]
}

# A second toolchain with the sources of the standard library, from which
# plugins/build.sh compiles it for wasm32.
has_debian_toolchain() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ]
}

install_wasm() {
    has_wasm_target && return 0
    has_debian_toolchain && return 0
    if ! has_apt || ! is_root; then
        fail "wasm: no Rust for wasm32. Run: rustup target add wasm32-unknown-unknown; or, as root on Debian: apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src"
    fi
    install_packages wasm rustc-web cargo-web rust-web-src
}

# What the examples of plugins in other languages are built with; what these are
# built by, they install themselves.
install_languages() {
    missing=
    { have node && have npm; } || missing="$missing nodejs npm"
    have python3 || missing="$missing python3"
    { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || missing="$missing python3-venv"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages languages $missing
    node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)' ||
        fail "languages: node is $(node --version), 18.13 or newer is needed"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "languages: $(python3 --version), 3.10 or newer is needed"
}

# What scrapes the metrics, and what judges them.
install_prometheus() {
    { have prometheus && have promtool; } || install_packages prometheus prometheus
}

# Keys as OpenSSL makes them, a registry of images, and others' tools for what is in it. cosign is
# in Debian from trixie on; its binary needs nothing but libc.
install_policy() {
    missing=
    have skopeo || missing="$missing skopeo"
    have openssl || missing="$missing openssl"
    have docker-registry || missing="$missing docker-registry"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages policy $missing
    program_of_debian cosign trixie "put a cosign 2 on PATH or at $cache/bin/cosign"
}

# What sets the clock of one program, for the stories of a fleet's faults. Without arguments it is not
# installed, since these are told only when they are asked for.
install_fleet() {
    [ -n "$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null)" ] || install_packages fleet libfaketime
}

# The browser in which the page is tried, the libraries that drive it, and taplo, which reads the configuration's
# schema as editors do, in the versions of a lock file.
# Fonts, since a page without letters cannot be looked at.
install_page() {
    missing=
    { have node && have npm; } || missing="$missing nodejs npm"
    have chromium || missing="$missing chromium"
    [ -d /usr/share/fonts/truetype ] || missing="$missing fonts-dejavu-core"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages page $missing
    # npm notes in this file what it has installed.
    installed=$root/tests/page/node_modules/.package-lock.json
    if [ ! -e "$installed" ] || [ -n "$(find "$root/tests/page/package-lock.json" -newer "$installed")" ]; then
        (cd "$root/tests/page" && npm ci --no-audit --no-fund --loglevel=error >&2) ||
            fail "page: npm could not install what tests/page/package-lock.json names"
        touch "$installed"
    fi
}

# cargo_program NAME VERSION: a program of Cargo's in a root of its own. It is not optimised much: it runs for a second.
cargo_program() {
    "$cache/cargo/bin/$1" --version >/dev/null 2>&1 && return 0
    say "building $1 $2"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install --quiet --locked --root "$cache/cargo" "$1@$2" >&2 || fail "$1 could not be built"
}

install_packagers() {
    cargo_program cargo-deb 3.8.0
    cargo_program cargo-generate-rpm 0.21.1
    # It tells which libraries the program needs.
    have dpkg-shlibdeps || install_packages packagers dpkg-dev
}

install_packages_check() {
    missing=
    have lintian || missing="$missing lintian"
    have debootstrap || missing="$missing debootstrap"
    have rpm || missing="$missing rpm"
    { have rpm2cpio && have cpio; } || missing="$missing rpm2cpio cpio"
    have systemd-analyze || missing="$missing systemd"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages packages $missing
}

[ $# -gt 0 ] || set -- build docker podman consul wasm languages prometheus policy page
for component; do
    case $component in
    build | docker | podman | consul | wasm | languages | prometheus | policy | page | fleet) "install_$component" ;;
    packagers) install_packagers ;;
    packages) install_packages_check ;;
    *) fail "unknown component '$component'; known are: build docker podman consul wasm languages prometheus policy page fleet packagers packages" ;;
    esac
done
