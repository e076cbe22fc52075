#!/usr/bin/env bash
# `make image-test` with whatever this machine has: a Docker engine and a registry of images; or else,
# as root on Debian, buildah and podman, installed if they are missing, and stand-ins for the bases.
# Certificates that the machine was given for its mirrors are lent to the build and to the runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ -n "${IMAGE:-}" ] || docker info >/dev/null 2>&1; then
    exec make image-test
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "SKIPPED, NOTHING WAS TESTED: no Docker engine, and not root on a Debian" >&2
    test -z "${SWITCHBACK_TEST_REQUIRE_ALL:-}"
    exit
fi

tools=(buildah podman runc debootstrap netavark uidmap conmon)
if ! dpkg --status "${tools[@]}" >/dev/null 2>&1; then
    echo "==> installing ${tools[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${tools[@]}" >/dev/null
fi

lent=()
run=(--network=host)
own=/usr/local/share/ca-certificates
if [ -n "$(find "$own" -name '*.crt' 2>/dev/null)" ]; then
    bundle=/etc/ssl/certs/ca-certificates.crt
    lent=(--volume "$own:$own:ro")
    run+=(--volume "$bundle:$bundle:ro" --env "PIP_CERT=$bundle")
fi

export ENGINE=podman
export RUST_IMAGE=localhost/switchback-base:rust RUNTIME_IMAGE=localhost/switchback-base:bookworm-slim
export BUILD_ARGUMENTS="--pull-never ${lent[*]}" RUN_ARGUMENTS="${run[*]}"
if ! buildah inspect --type image "$RUST_IMAGE" >/dev/null 2>&1 ||
    ! buildah inspect --type image "$RUNTIME_IMAGE" >/dev/null 2>&1; then
    tests/image/bases.sh "${lent[@]}"
fi
exec make image-test
