#!/usr/bin/env bash
# Packs a released binary, the same bytes from the same binary, and notes the image's digest beside it.
#
#     tools/release/pack.sh BINARY VERSION MACHINE EPOCH DIGEST FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

binary=$1 version=$2 machine=$3 epoch=$4 digest=$5 folder=$6
name=switchback-$version-$machine-linux

[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || {
    echo "pack.sh: \`$digest\` is no digest" >&2
    exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$folder" "$scratch/$name"
install -m 755 "$binary" "$scratch/$name/switchback"
install -m 644 LICENSE README.md CHANGELOG.md "$scratch/$name/"
tar --create --directory "$scratch" --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$epoch" "$name" | gzip --no-name --best >"$folder/$name.tar.gz"
printf '%s\n' "$digest" >"$folder/image-$machine.digest"
