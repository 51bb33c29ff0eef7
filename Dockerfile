# The connector's image, for the architecture of the build machine. `scripts/image` builds and tests it without Docker.
# Releases set PROGRAM to `given`: the image then gets the tested static program from `dist/image/<architecture>/`, so
# that nothing is compiled in an emulator.
ARG PROGRAM=compiled
FROM rust:1.95-slim-trixie AS toolchain
WORKDIR /build

FROM toolchain AS compiled
# Build the dependencies first, with empty sources: the layer stays cached until a dependency changes.
COPY Cargo.lock Cargo.toml ./
COPY sandbox/Cargo.toml sandbox/
RUN mkdir src sandbox/src && touch src/lib.rs sandbox/src/lib.rs && echo 'fn main() {}' >src/main.rs \
    && cargo build --release --locked
COPY docs/*.md docs/
COPY schemas schemas
COPY templates templates
COPY sandbox/src sandbox/src
COPY src src
# Cargo compares timestamps, and the copied files are older than the build of the empty ones.
RUN touch src/lib.rs src/main.rs sandbox/src/lib.rs && cargo build --release --locked \
    && cp target/release/source-criteo .

FROM toolchain AS given
ARG TARGETARCH
COPY dist/image/${TARGETARCH}/source-criteo .

FROM ${PROGRAM} AS program

# Airbyte starts connectors through `sh -c` and needs sleep, mv and kill.
FROM debian:trixie-slim
LABEL io.airbyte.name=source-criteo
LABEL io.airbyte.version=0.1.0
RUN groupadd --gid 1000 airbyte \
    && useradd --uid 1000 --gid airbyte --home-dir /airbyte --no-create-home airbyte \
    && install --directory --owner airbyte --group airbyte /airbyte /config /secrets /source
COPY --from=program /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=program /build/source-criteo /usr/local/bin/
# Numeric, so that Kubernetes can verify that it is not root.
USER 1000:1000
WORKDIR /airbyte
ENV AIRBYTE_ENTRYPOINT=/usr/local/bin/source-criteo
ENTRYPOINT ["/usr/local/bin/source-criteo"]
