#!/bin/sh
# Makes a local image NAME that can stand in for the Dockerfile's BUILD_IMAGE
# where no registry is reachable:
#
#   DOCKER_HOST=unix:///... tests/env/base-image.sh NAME
#
# It holds what the build stage calls when dist/wharfinger is built already, from
# the Debian packages of the machine's own release: the program has to find the
# libraries that it was linked with. It is unpacked only, not set up: nobody
# installs packages in it.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${WHARFINGER_CACHE:-target/test-env}
case $cache in
/*) ;;
*) cache=$root/$cache ;;
esac

packages="base-files base-passwd bash ca-certificates coreutils dash diffutils
findutils grep libc-bin libcap2-bin make sed tar"

fail() {
    printf '%s\n' "base-image.sh: $*" >&2
    exit 1
}

[ $# = 1 ] || fail "usage: base-image.sh NAME"
name=$1
command -v docker >/dev/null || fail "docker is missing: run tests/env/install.sh docker"

tarball=$cache/base-image.tar
if [ ! -f "$tarball" ]; then
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        fail "needs Debian's apt-get and dpkg-deb; elsewhere, pull an image and tag it $name"
    fi
    [ "$(id -u)" = 0 ] || fail "must be run by root: the image's files are root's"
    work=$cache/base-image
    rm -rf "$work"
    mkdir -p "$work/cache/archives/partial" "$work/rootfs"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM

    # To an apt that knows of no installed package, all dependencies are missing.
    : >"$work/status"
    download() {
        # shellcheck disable=SC2086 # a list of package names
        apt-get -q -y --no-install-recommends --download-only \
            -o "Dir::State::status=$work/status" \
            -o "Dir::Cache=$work/cache" \
            -o APT::Sandbox::User=root \
            -o Debug::NoLocking=true \
            install $packages >"$work/apt.log" 2>&1
    }
    # The machine's package lists may be old, or not there at all.
    download || {
        apt-get -q update >&2
        download || fail "cannot download the packages: $(cat "$work/apt.log")"
    }

    # The links that Debian's packages expect below the root.
    for dir in bin sbin lib lib32 lib64 libx32; do
        mkdir -p "$work/rootfs/usr/$dir"
        ln -s "usr/$dir" "$work/rootfs/$dir"
    done
    for deb in "$work"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" |
            tar -x --keep-directory-symlink -C "$work/rootfs" \
                --exclude='./usr/share/doc' --exclude='./usr/share/man' \
                --exclude='./usr/share/locale'
    done

    # What the packages' own scripts would have made, as far as it is needed.
    for dir in dev proc sys tmp root etc/ssl/certs; do
        mkdir -p "$work/rootfs/$dir"
    done
    chmod 1777 "$work/rootfs/tmp"
    ln -sf dash "$work/rootfs/bin/sh"
    cp "$work/rootfs/usr/share/base-passwd/passwd.master" "$work/rootfs/etc/passwd"
    cp "$work/rootfs/usr/share/base-passwd/group.master" "$work/rootfs/etc/group"
    find "$work/rootfs/usr/share/ca-certificates" -name '*.crt' -exec cat {} + \
        >"$work/rootfs/etc/ssl/certs/ca-certificates.crt"
    chroot "$work/rootfs" /sbin/ldconfig

    # Moved into place when whole.
    tar -c -C "$work/rootfs" . >"$tarball.$$"
    mv "$tarball.$$" "$tarball"
fi

docker import "$tarball" "$name"
