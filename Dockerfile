# The image contains only the exporter: one static binary, without a shell, libraries or /etc/passwd.
#
#   docker build -t vobiz-exporter --build-arg REVISION="$(git rev-parse --short=12 HEAD)" .
#
# BUILDER_IMAGE must contain Rust, a C compiler and glibc. RUNTIME_IMAGE is the base of the final image;
# the binary needs nothing from this base. With `--build-context build=FOLDER`, the build compiles
# nothing and copies the static binary `vobiz-exporter` and the folder `state` from the folder.
ARG BUILDER_IMAGE=rust:1-slim-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${BUILDER_IMAGE} AS build
WORKDIR /src
# Procedural macros cannot be linked statically. With `--target`, Cargo applies these flags only to the
# program, and not to macros and build scripts.
ENV RUSTFLAGS="-C target-feature=+crt-static"
# This layer compiles the dependencies together with an empty program. Docker builds the layer again
# only when one of the files in the next two COPY lines changes.
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
    && mv "target/$(rustc --print host-tuple)/release/vobiz-exporter" /vobiz-exporter \
    && install -d -m 0700 /state/vobiz-exporter

# hadolint ignore=DL3006
FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="vobiz-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the registration state of Vobiz SIP endpoints" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /vobiz-exporter /usr/bin/vobiz-exporter
# This folder for the state database is empty. A new volume gets the owner and the mode of the folder.
# The exporter uses the variable only if `state.directory` is not set. So a configuration file can name
# another folder. The image declares no volume, because removed containers would leave volumes with
# personal data behind.
COPY --from=build --chown=65532:65532 /state/ /var/lib/
ENV STATE_DIRECTORY=/var/lib/vobiz-exporter
# The user is a number, because the image has no /etc/passwd. Kubernetes also needs a number to check
# `runAsNonRoot`.
USER 65532:65532
EXPOSE 10059
# The health check asks only the exporter, so the container stays healthy during an outage of the
# vendor. If a flag changes the port of the exporter, add the flag here, too.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/bin/vobiz-exporter", "--healthcheck"]
ENTRYPOINT ["/usr/bin/vobiz-exporter"]
