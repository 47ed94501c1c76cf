#!/bin/sh
# Puts into target/packaging what packages hold beside the program: `make deb` and `make rpm` call it.
#
#   packaging/contents.sh POLICY...
#
# dist/wharfinger, the man pages in target/packaging/man and the components in plugins/dist are there already.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/target/packaging
version=$("$root/dist/wharfinger" --version | sed 's/^v//')

rm -rf "$out/completions" "$out/plugins"
mkdir -p "$out/completions" "$out/plugins"
gzip -9 -n -f "$out"/man/*.1
"$root/dist/wharfinger" completions bash >"$out/completions/wharfinger"
"$root/dist/wharfinger" completions zsh >"$out/completions/_wharfinger"
"$root/dist/wharfinger" completions fish >"$out/completions/wharfinger.fish"
for policy; do
    cp "$root/plugins/dist/wharfinger_$policy.wasm" "$out/plugins/"
done
# The changes themselves are in CHANGELOG.md; this is the form that Debian's tools read.
cat >"$out/changelog" <<END
wharfinger ($version-1) unstable; urgency=medium

  * Version $version; CHANGELOG.md has what has changed.

 -- The developers of Wharfinger <wharfinger@packages.invalid>  $(date -u -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
END
