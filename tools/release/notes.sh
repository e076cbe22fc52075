#!/usr/bin/env bash
# Prints what CHANGELOG.md says of a version, and fails unless that version can be released now.
#
#     tools/release/notes.sh 0.2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$1

fail() {
    echo "notes.sh: $1" >&2
    exit 1
}

[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "\`$version\` is no version such as 0.2.0"
# Only in a fresh release commit the tag may be there already, and then it is this very commit's child.
grep -qx "version = \"$version\"" Cargo.toml || fail "Cargo.toml names another version than $version"
notes=$(awk -v heading="## [$version]" '
    index($0, "## [") == 1 { inside = index($0, heading) == 1; next }
    inside { print }' CHANGELOG.md)
[[ $notes =~ [^[:space:]] ]] || fail "CHANGELOG.md says nothing under \"## [$version]\""
sed -e '/./,$!d' <<<"$notes"
