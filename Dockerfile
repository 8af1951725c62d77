# The exporter alone: one static binary in an empty image, without a shell, a library or a user.
#
#   docker build -t vobiz-exporter --build-arg REVISION="$(git rev-parse --short=12 HEAD)" .
#
# BUILDER_IMAGE has Rust and a C compiler on glibc; RUNTIME_IMAGE is what the binary is laid upon, and
# it needs nothing from it. `--build-context build=FOLDER` takes the static binary `vobiz-exporter` from
# a folder instead of compiling it.
ARG BUILDER_IMAGE=rust:1-slim-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${BUILDER_IMAGE} AS build
WORKDIR /src
# With a target of its own, macros and build scripts are not linked statically.
ENV RUSTFLAGS="-C target-feature=+crt-static"
# The dependencies are a layer of their own, compiled below a program that does nothing: they are
# compiled again only when one of these files changes.
COPY Cargo.toml Cargo.lock build.rs ./
COPY simulator/Cargo.toml simulator/
RUN mkdir src benches simulator/src \
    && echo 'fn main() {}' > src/main.rs \
    && cp src/main.rs benches/exposition.rs \
    && touch src/lib.rs simulator/src/lib.rs \
    && cargo build --release --locked --target "$(rustc --print host-tuple)"
COPY simulator simulator
COPY src src
ARG REVISION=unknown
RUN touch src/main.rs src/lib.rs simulator/src/lib.rs \
    && VOBIZ_EXPORTER_REVISION=${REVISION} \
        cargo build --release --locked --target "$(rustc --print host-tuple)" \
    && mv "target/$(rustc --print host-tuple)/release/vobiz-exporter" /vobiz-exporter

# hadolint ignore=DL3006
FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="vobiz-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the registration state of Vobiz SIP endpoints" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /vobiz-exporter /usr/bin/vobiz-exporter
# By number, because there is no file of users, and so that a policy can see that it is not root.
USER 65532:65532
EXPOSE 10059
# Asks the process itself, whatever the vendor does. Flags that move the port belong here, too.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/bin/vobiz-exporter", "--healthcheck"]
ENTRYPOINT ["/usr/bin/vobiz-exporter"]
