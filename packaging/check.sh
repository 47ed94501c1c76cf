#!/bin/sh
# Shows that the packages in dist/ are what they should be:
#
#   packaging/check.sh
#
# The Debian package is installed in a root of its own, which debootstrap makes of the archive that this machine uses, is run
# there, verified and removed; lintian finds no error; systemd finds the unit right and exposed to less than 2.5 of 10. The RPM
# package has the same files. It has to be run by root, and touches nothing of this machine but target/.
set -eu

PATH=$PATH:/usr/sbin:/sbin
export PATH
project=$(cd "$(dirname "$0")/.." && pwd)
work=$project/target/packaging/check
base=$project/target/packaging/base.tar

say() { printf '%s\n' "check.sh: $*"; }
fail() {
    say "$*" >&2
    exit 1
}
only() {
    [ $# = 1 ] && [ -f "$1" ] || fail "there is not one package but: $*"
    printf '%s\n' "$1"
}

[ "$(id -u)" = 0 ] || fail "it has to be run by root"
deb=$(only "$project"/dist/wharfinger_*.deb)
rpm=$(only "$project"/dist/wharfinger-*.rpm)
rm -rf "$work"
mkdir -p "$work/root" "$work/rpm"

say "a root of this machine's own release"
if [ ! -f "$base" ]; then
    # shellcheck disable=SC1091 # it is the machine's
    release=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    # shellcheck disable=SC2016 # apt's own placeholders
    mirror=$(apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' |
        sed -n 's/^Packages|Debian|Debian|main|//p' | head -n 1)
    [ -n "$mirror" ] || fail "apt names no Debian archive (is 'apt-get update' needed?)"
    debootstrap --variant=minbase --include=ca-certificates "$release" "$work/root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        fail "debootstrap: $(tail -n 5 "$work/debootstrap.log")"
    tar -C "$work/root" -cf "$base.new" .
    mv "$base.new" "$base"
else
    tar -C "$work/root" -xf "$base"
fi
# What is run there leaves no compiled code behind.
within() { chroot "$work/root" env WHARFINGER_CACHE_DIR= "$@"; }

say "installed, run and verified there"
cp "$deb" "$work/root/wharfinger.deb"
within dpkg -i /wharfinger.deb >"$work/dpkg.log" 2>&1 || fail "dpkg: $(cat "$work/dpkg.log")"
[ -z "$(within dpkg --verify wharfinger)" ] || fail "dpkg --verify: $(within dpkg --verify wharfinger)"
within wharfinger --version
within wharfinger check --config /etc/wharfinger/wharfinger.toml.example ||
    fail "the example is not right"
[ ! -e "$work/root/etc/wharfinger/wharfinger.toml" ] || fail "a configuration is in force"
[ ! -e "$work/root/etc/systemd/system/multi-user.target.wants/wharfinger.service" ] ||
    fail "the unit is enabled by the package alone"
within wharfinger config schema | cmp - "$work/root/usr/share/wharfinger/wharfinger.schema.json" ||
    fail "the schema is another one"
for component in "$work"/root/usr/share/wharfinger/plugins/*.wasm; do
    within wharfinger plugin inspect "${component#"$work/root"}" >"$work/plugin.log" 2>&1 ||
        fail "$component: $(cat "$work/plugin.log")"
done
for file in usr/share/man/man1/wharfinger.1.gz usr/share/man/man1/wharfinger-plan.1.gz \
    usr/share/bash-completion/completions/wharfinger; do
    [ -s "$work/root/$file" ] || fail "$file is missing"
done

say "the unit"
unit=$work/root/usr/lib/systemd/system/wharfinger.service
[ -f "$unit" ] || unit=$work/root/lib/systemd/system/wharfinger.service
[ -f "$unit" ] || fail "the unit is missing"
# Of the root there is no more than the package needs, so what else a unit may ask for is this machine's.
said=$(systemd-analyze verify --root="$work/root" --man=no --recursive-errors=no "$unit" 2>&1) || fail "verify: $said"
[ -z "$said" ] || fail "verify: $said"
said=$(systemd-analyze security --offline=true --root="$work/root" --threshold=25 --no-pager "$unit") ||
    fail "the unit is exposed to 2.5 or more: $said"
say "$(printf '%s\n' "$said" | grep 'Overall exposure' | tr -cd ' -~')"

say "lintian"
# What is built without Debian's own tools has no list of bugs to close, and manuals of many words.
lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs "$deb" || fail "lintian finds errors"

say "removed again, with what the unit would have kept"
for place in lib cache; do
    mkdir -p "$work/root/var/$place/private/wharfinger"
    : >"$work/root/var/$place/private/wharfinger/kept"
    ln -s private/wharfinger "$work/root/var/$place/wharfinger"
done
within dpkg -P wharfinger >"$work/dpkg.log" 2>&1 || fail "dpkg: $(cat "$work/dpkg.log")"
left=$(find "$work/root" -xdev \( -path '*/var/lib/dpkg' -o -path '*/var/log' \) -prune -o -name '*wharfinger*' ! -name wharfinger.deb -print)
[ -z "$left" ] || fail "it leaves behind: $left"

say "the RPM package"
rpm -K --nosignature "$rpm"
(cd "$work/rpm" && rpm2cpio "$rpm" | cpio -id --quiet)
for file in usr/bin/wharfinger usr/lib/systemd/system/wharfinger.service usr/share/man/man1/wharfinger.1.gz \
    usr/share/wharfinger/wharfinger.schema.json etc/wharfinger/wharfinger.toml.example; do
    [ -s "$work/rpm/$file" ] || fail "$file is missing in $rpm"
done
cmp "$work/rpm/usr/bin/wharfinger" "$project/dist/wharfinger"
[ "$(find "$work/rpm/usr/share/wharfinger/plugins" -name '*.wasm' | wc -l)" -ge 8 ] || fail "policies are missing in $rpm"
rpm -qp --requires "$rpm" 2>/dev/null | grep -q 'libc.so.6' || fail "$rpm does not say which libraries it needs"
rm -rf "$work"
say "all is right: $(du -h "$deb" | cut -f1) and $(du -h "$rpm" | cut -f1)"
