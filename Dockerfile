# check=skip=RedundantTargetPlatform
# Two images, each a base with one file in it: the issuer (`--target issuer`, the default) and the throw-away CA
# (`--target simple-cfssl`). docs/images.md says how they are built, also without access to the bases named here.
# The build stage needs Node 24 with npm and a shell; the base needs Node 24.5 or newer, in PATH or where distroless has it.
ARG BUILD_IMAGE=docker.io/library/node:24-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot

# On the builder's own platform, whatever the image's: a JavaScript file is the same on all of them.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# A registry of one's own, or its token: --secret id=npmrc,src=$HOME/.npmrc
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --loglevel=error --no-update-notifier
COPY . .
# A file's time is part of its layer's digest.
ARG SOURCE_DATE_EPOCH=0
RUN node tools/bundle.ts && touch -d "@$SOURCE_DATE_EPOCH" dist/*

# What is in the files, to be written beside the images: --target sbom --output dist
FROM scratch AS sbom
COPY --from=build /build/dist/*.cdx.json /

# The platform is said again, as buildah up to 1.28 would stay with the build stage's.
FROM --platform=$TARGETPLATFORM ${BASE_IMAGE} AS simple-cfssl
COPY --from=build /build/dist/simple-cfssl.mjs /simple-cfssl.mjs
USER 65532:65532
ENV PATH=/nodejs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["node", "/simple-cfssl.mjs"]
EXPOSE 8888
LABEL org.opencontainers.image.title="simple-cfssl" \
      org.opencontainers.image.description="Throw-away CA that speaks the API of CFSSL's multirootca" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM --platform=$TARGETPLATFORM ${BASE_IMAGE} AS issuer
COPY --from=build /build/dist/main.mjs /cfssl-issuer.mjs
USER 65532:65532
ENV PATH=/nodejs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# A small young generation: a quarter less memory at the peak for the same CPU (bench/backlog.ts).
ENTRYPOINT ["node", "--max-semi-space-size=2", "/cfssl-issuer.mjs"]
EXPOSE 8080 8081
LABEL org.opencontainers.image.title="cfssl-issuer" \
      org.opencontainers.image.description="cert-manager external issuer that has certificates signed by CFSSL" \
      org.opencontainers.image.licenses="Apache-2.0"
