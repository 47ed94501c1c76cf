# Builds the image of Wharfinger: the program, its libraries, the library of policies and nothing else.
#
#   make image
#   docker run -v /var/run/docker.sock:/tmp/docker.sock wharfinger ...
#
# For another kind of processor: make image IMAGE_ARGS="--platform linux/arm64".
#
# Neither image needs to come from a registry: give the names of local ones.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .

# A binary that was built outside is taken as it is if it runs here: it has to be of
# this kind of processor, and linked with the C library of BUILD_IMAGE or an older one.
RUN if test -x dist/wharfinger && dist/wharfinger --version; then :; else rm -f dist/wharfinger && make dist; fi

# Policies are the same for every kind of processor; `make image` has put them there.
RUN ls dist/plugins/*.wasm >/dev/null 2>&1 || echo 'dist/plugins has no policies: the image has none (make image)'

RUN command -v setcap >/dev/null \
    || { apt-get update && apt-get install -y --no-install-recommends libcap2-bin; }

RUN set -eu; \
    umask 022; \
    mkdir -p /rootfs/bin /rootfs/etc/ssl/certs /rootfs/tmp; \
    chmod 1777 /rootfs/tmp; \
    # A volume there is the user's own, so that compiled policies outlast a container.
    mkdir -p -m 700 /own/.cache; \
    mkdir -p /rootfs/usr/share/wharfinger; \
    if [ -d dist/plugins ]; then cp -r dist/plugins /rootfs/usr/share/wharfinger/plugins; fi; \
    cp dist/wharfinger /rootfs/bin/wharfinger; \
    chmod 755 /rootfs/bin/wharfinger; \
    # The loader and the shared libraries, each where the loader looks for it; a
    # static binary has none, and ldd fails.
    libraries=$(ldd dist/wharfinger | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p') || libraries=; \
    for library in $libraries; do \
        mkdir -p "/rootfs${library%/*}"; \
        cp -L "$library" "/rootfs$library"; \
    done; \
    cp -L /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/; \
    echo 'wharfinger:x:65532:65532:wharfinger:/:/sbin/nologin' >/rootfs/etc/passwd; \
    echo 'wharfinger:x:65532:' >/rootfs/etc/group; \
    echo 'hosts: files dns' >/rootfs/etc/nsswitch.conf; \
    # Docker's socket belongs to root, yet the program runs as another user. It
    # raises this capability itself, and only to open the socket. Merely permitted
    # and not effective, it does not keep the program from being started when all
    # capabilities are dropped.
    setcap cap_dac_override=p /rootfs/bin/wharfinger; \
    if ldd /rootfs/bin/wharfinger | grep 'not found'; then exit 1; fi

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="Wharfinger" \
      org.opencontainers.image.description="Keeps Consul's catalog true to the containers of a host, through a chain of WebAssembly component plugins" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs /
COPY --from=build --chown=65532:65532 /own /
USER 65532:65532
# Whether the loop answers. An orchestrator ends what is unhealthy, and a Consul that is away or a plugin that fails is no
# reason for that; `wharfinger health` tells of these.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["/bin/wharfinger", "health", "--live"]
ENTRYPOINT ["/bin/wharfinger"]
