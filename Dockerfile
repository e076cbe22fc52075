# The container behind action.yml: the binary, Python with dbt for Snowflake, PostgreSQL and DuckDB,
# and git. It starts the binary itself, not a shell.
#
# Both bases are arguments, pinned by the digest of an index that holds amd64 and arm64. To move a
# pin: docker buildx imagetools inspect docker.io/library/debian:bookworm-slim
ARG RUST_IMAGE=docker.io/library/rust:1-bookworm@sha256:93ce27a88655056a51dbdd8f5f2d7ddc071c7b0070fb288a37b5a285fc83971e
ARG RUNTIME_IMAGE=docker.io/library/debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# The dependencies first, in a layer of their own that a change of our source leaves valid.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked
COPY demo demo
COPY src src
# What `switchback init` writes after `uses:`; a release names itself.
ARG SWITCHBACK_ACTION
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

# What the release publishes for runners that have a dbt of their own:
# docker buildx build --target binary --output dist .
FROM scratch AS binary
COPY --from=build /src/target/release/switchback /switchback

FROM ${RUNTIME_IMAGE} AS base
ENV DEBIAN_FRONTEND=noninteractive
# The versions are Debian's own of the day, security fixes included; the release's SBOM records them.
# python3-venv is for projects that bring their own pins (the input `dbt-requirements`).
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/ldconfig/aux-cache /var/log/*

FROM base AS dbt
COPY requirements/image.txt /tmp/requirements.txt
# The environment itself holds dbt and nothing to install with. Its bytecode is never checked against
# the sources, which nobody edits, so a start writes nothing. One process makes it, in one order: what
# bytecode looks like depends on what the process compiled before, and two builds shall be the same.
RUN python3 -m venv /tmp/pip \
    && python3 -m venv --without-pip /opt/dbt \
    && /tmp/pip/bin/pip --python /opt/dbt/bin/python install --no-cache-dir --no-compile --no-deps \
        --only-binary :all: --requirement /tmp/requirements.txt \
    && /tmp/pip/bin/pip --python /opt/dbt/bin/python check \
    && PYTHONHASHSEED=0 /opt/dbt/bin/python -m compileall -q -f --invalidation-mode unchecked-hash \
        /opt/dbt/lib

FROM base
LABEL org.opencontainers.image.title="Switchback" \
      org.opencontainers.image.description="Production dbt deploys that can be taken back in seconds" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dbt /opt/dbt /opt/dbt
COPY --from=build /src/target/release/switchback /usr/local/bin/switchback
# Nobody is there to answer: what would ask, fails instead.
ENV PATH=/opt/dbt/bin:$PATH \
    GIT_TERMINAL_PROMPT=0 \
    PIP_NO_INPUT=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
ENTRYPOINT ["/usr/local/bin/switchback", "action"]
