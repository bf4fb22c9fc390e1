# The operator's image: one static binary and Debian's certificate authorities. No shell, no package manager, no libc.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 .
#
# `make image` builds the same without an engine: it runs what the first stage runs, and carries out the last stage itself.
FROM --platform=$BUILDPLATFORM rust:1.95.0-bookworm AS build
ARG TARGETARCH
# The other architecture is cross-compiled: emulation would take an hour.
RUN case "$(dpkg --print-architecture)-$TARGETARCH" in \
      amd64-arm64) cross="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
      arm64-amd64) cross="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
    esac \
 && apt-get update && apt-get install -y --no-install-recommends ca-certificates $cross
WORKDIR /src
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN image/build.sh "$TARGETARCH" /out

FROM scratch
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="kratos-operator"
LABEL org.opencontainers.image.description="Identities and sessions of Ory Kratos, declared as Kubernetes resources"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="$VERSION"
LABEL org.opencontainers.image.revision="$REVISION"
LABEL org.opencontainers.image.created="$CREATED"
COPY --from=build /out/kratos-operator /kratos-operator
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A number, so that the kubelet can tell that it isn't root. Any other number will do as well.
USER 65532:65532
ENTRYPOINT ["/kratos-operator"]
