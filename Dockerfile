# syntax=docker/dockerfile:1
# The image of ZenConn: one static binary, the certificates of public authorities, the time zones, and no shell.
#
#   docker build --build-arg VERSION=v1.2.3 -t zenconn .
#   docker run -p 8000:8000 -v zenconn-data:/data -v ./zenconn.yaml:/etc/zenconn/zenconn.yaml:ro zenconn
#
# Without a configuration of your own the server starts closed: it admits nobody whom no plugin in /plugins admits.
# docker-compose.yml beside this file starts it open, on this machine only, with ClickHouse.

# Compiled on the builder's own platform for the target's, so that no emulator has to run the compiler.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X github.com/zenconn/server/core/cli.linked=$VERSION" -o /out/zenconn .
# Docker gives a new volume the owner that the folder has in the image.
RUN mkdir -m 0750 /out/data /out/plugins

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=unknown
LABEL org.opencontainers.image.title="ZenConn" \
      org.opencontainers.image.description="Real-time server: channels over WebSocket, plugins in Lua, an audit in SQL" \
      org.opencontainers.image.source="https://github.com/zenconn/server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/zenconn /usr/local/bin/zenconn
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/plugins /plugins
COPY configs/docker.yaml /etc/zenconn/zenconn.yaml
COPY LICENSE /usr/share/doc/zenconn/LICENSE
# The distroless user "nonroot", as a number so that Kubernetes can check that it is not root.
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8000
# The server drains its sessions on SIGTERM; shutdown.timeout is how long it may take.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/zenconn", "health", "--config", "/etc/zenconn/zenconn.yaml"]
ENTRYPOINT ["/usr/local/bin/zenconn"]
CMD ["--config", "/etc/zenconn/zenconn.yaml"]
