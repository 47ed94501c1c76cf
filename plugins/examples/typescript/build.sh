#!/bin/sh
# Builds the plugin to a component.
#
#   ./build.sh [FILE]     dist/team_naming.wasm if no file is named
#
# Its tools are installed into node_modules, in the versions of package-lock.json.
set -eu

project=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
"") output=$project/dist/team_naming.wasm ;;
/*) output=$1 ;;
*) output=$PWD/$1 ;;
esac
cd "$project"

say() { printf 'build.sh: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

command -v npm >/dev/null 2>&1 ||
    fail "npm is missing: install Node.js 18.13 or newer (on Debian: apt-get install -y nodejs npm)"

# npm notes in this file what it has installed.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ -n "$(find package-lock.json -newer "$installed")" ]; then
    # Said before, and not tried for minutes, so that who has no network knows at once what is lacking.
    wanted=$(node -p 'const p = require("./package.json"); Object.entries({ ...p.dependencies, ...p.devDependencies }).map((one) => one.join("@")).join(" ")')
    say "installing $wanted into node_modules, once"
    npm ci --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=2000 >&2 ||
        fail "npm could not install $wanted; without a network, bring node_modules from a machine that has one (the same system and processor)"
    touch "$installed"
fi

# Where package.json has `dependencies`, these are made one file with the sources.
bundle() {
    packages=$(node -p 'Object.keys(require("./package.json").dependencies ?? {}).join(" ")')
    [ -n "$packages" ] || return 0
    node bundle.js src/plugin.ts dist/bundle/plugin.js >&2 || fail "src/plugin.ts and its packages ($packages) could not be made one file"
    node lines.js dist/bundle >&2 || fail "lines.js cannot read what esbuild has made"
    source=dist/bundle/component.js
}

# What a build that fails has begun is not left behind.
trap 'rm -f "$output.new"' EXIT
trap 'exit 130' INT TERM

node_modules/.bin/tsc >&2 || fail "the types do not fit"
# What the component is made of: what tsc has made, or one file of the sources and of the packages that they import.
source=dist/js/component.js
bundle
[ "$source" != dist/js/component.js ] || node lines.js dist/js >&2 || fail "lines.js cannot read what tsc has made"

# Put into place when whole.
mkdir -p "$(dirname "$output")"
node make-component.js "$source" "$output.new" >&2 ||
    fail "$source could not be made a component"
mv "$output.new" "$output"
