# Built on one image, run on another that holds Python and nothing else: no shell, no pip, no build tools.
# By tag here; `make digests` puts their digests behind the tags, which a release asks for.
ARG BUILDER=python:3.13-slim-trixie
ARG RUNTIME=gcr.io/distroless/python3-debian13:nonroot

FROM ${RUNTIME} AS runtime

# What is built is the same on every architecture, so with BuildKit it is built on the engine's own, whichever the image
# is for.
FROM --platform=${BUILDPLATFORM:-linux} ${BUILDER} AS build
WORKDIR /build
COPY requirements/image.txt .
# The hashes pin what is installed; the toolkit comes as source only and is built by pip.
RUN pip install --no-cache-dir --root-user-action ignore --no-deps --require-hashes --no-compile --target installed -r image.txt
COPY --from=runtime /usr/lib/python3.13 base
COPY image/lay_out.py .
COPY pipe installed/pipe
COPY LICENSE out/opt/pipe/LICENSE
RUN python lay_out.py installed base out

FROM ${RUNTIME}
ARG RUNTIME
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="PagerDuty events" \
      org.opencontainers.image.description="Page the people on call when a Bitbucket pipeline breaks, and resolve the incident when it is fixed." \
      org.opencontainers.image.base.name="${RUNTIME}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /build/out /
ENV PYTHONPATH=/opt/pipe PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532
# -P: the working directory is somebody else's code. -S: nothing but the pipe's own libraries is on the path.
ENTRYPOINT ["/usr/bin/python3.13", "-P", "-S", "-m", "pipe"]
