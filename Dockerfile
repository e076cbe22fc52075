# The container behind action.yml: the binary, Python with dbt for DuckDB, and git.
# Both bases can be pinned by digest: --build-arg RUNTIME_IMAGE=docker.io/library/debian@sha256:…
ARG RUST_IMAGE=docker.io/library/rust:1-bookworm
ARG RUNTIME_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${RUST_IMAGE} AS binary
WORKDIR /src
# The dependencies first, in a layer of their own that a change of our source leaves valid.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked
COPY demo demo
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM ${RUNTIME_IMAGE} AS dbt
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/duckdb.txt /tmp/requirements.txt
# The environment itself holds dbt and nothing to install with.
RUN python3 -m venv --without-pip /opt/dbt \
    && pip --python /opt/dbt/bin/python install --no-cache-dir --no-deps \
        --requirement /tmp/requirements.txt

FROM ${RUNTIME_IMAGE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=dbt /opt/dbt /opt/dbt
COPY --from=binary /src/target/release/switchback /usr/local/bin/switchback
ENV PATH=/opt/dbt/bin:$PATH
ENTRYPOINT ["/usr/local/bin/switchback", "action"]
