#!/usr/bin/env bash
# Downloads the switchback that SHA256SUMS beside this file names, checks it, and puts it into PATH.
set -euo pipefail

sums=$(dirname "${BASH_SOURCE[0]}")/SHA256SUMS

fail() {
    echo "::error::$1"
    exit 1
}

from=$(sed -n 's/^# \([a-z]*:\/\/.*\)$/\1/p' "$sums")
test -n "$from" || fail "this commit is no release of Switchback: name a tag, such as setup@v0.2.0"
test "$(uname -s)" = Linux || fail "Switchback runs on Linux, and this is $(uname -s)"
machine=$(uname -m)
line=$(grep -E "^[0-9a-f]{64}  switchback-.*-$machine-linux\.tar\.gz$" "$sums") ||
    fail "there is no Switchback for $machine; there are: $(grep -oE '[^-]+-linux' "$sums" | tr '\n' ' ')"
name=${line##* }
folder=${name%.tar.gz}
version=${folder#switchback-}
version=${version%%-*}

to=${RUNNER_TEMP:-/tmp}/$folder
mkdir -p "$to"
cd "$to"
curl --fail --silent --show-error --location --proto '=https,file' \
    --retry 3 --connect-timeout 20 --max-time 300 --output "$name" "$from/$name" ||
    fail "$from/$name cannot be downloaded"
sha256sum --check --strict --quiet <<<"$line" || fail "$name is not what was released"
tar --extract --gzip --file "$name" --strip-components 1
rm "$name"
./switchback --version
if [ -n "${GITHUB_PATH:-}" ]; then
    echo "$to" >>"$GITHUB_PATH"
    echo "version=$version" >>"$GITHUB_OUTPUT"
fi
