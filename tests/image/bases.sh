#!/usr/bin/env bash
# Makes the Dockerfile's two base images on a Debian machine that reaches Debian's packages but no
# image registry: debootstrap makes the runtime, and this machine's own Rust makes the builder.
# They stand in for the pinned ones in `make image-test`; a release is never built on them.
#
#     apt-get install --no-install-recommends buildah podman runc debootstrap netavark uidmap conmon
#     tests/image/bases.sh [ARGUMENT FOR buildah run]…
#
# as root. An argument is for what the machine needs to reach its mirrors, such as certificates of
# its own: --volume /usr/local/share/ca-certificates:/usr/local/share/ca-certificates:ro
set -euo pipefail

runtime=localhost/switchback-base:bookworm-slim
builder=localhost/switchback-base:rust

scratch=$(mktemp -d)
containers=()
finish() {
    for container in "${containers[@]}"; do
        buildah rm "$container" >/dev/null
    done
    rm -rf "$scratch"
}
trap finish EXIT

echo "==> $runtime"
debootstrap --variant=minbase bookworm "$scratch/root" >"$scratch/log" || {
    tail -n 20 "$scratch/log" >&2
    exit 1
}
# What Debian leaves out of its slim images.
rm -rf "$scratch"/root/var/cache/apt/archives/*.deb "$scratch"/root/var/lib/apt/lists/* \
    "$scratch"/root/usr/share/{doc,man,info,locale}/*
container=$(buildah from scratch)
containers+=("$container")
buildah add -q "$container" "$scratch/root" / >/dev/null
buildah commit -q "$container" "$runtime" >/dev/null

echo "==> $builder"
container=$(buildah from --pull-never "$runtime")
containers+=("$container")
buildah run --isolation=chroot "$@" "$container" -- sh -c '
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
        gcc libc6-dev ca-certificates >/dev/null'
sysroot=$(rustc --print sysroot)
mkdir -p "$scratch/rust"
cp -a "$sysroot/bin" "$sysroot/lib" "$scratch/rust/"
rm -rf "$scratch/rust/lib/rustlib/src"
buildah add -q "$container" "$scratch/rust" /usr/local/rust >/dev/null
buildah config --env CARGO_HOME=/usr/local/cargo \
    --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "$container"
buildah commit -q "$container" "$builder" >/dev/null
