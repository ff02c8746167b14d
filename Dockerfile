# Built on one image, run on another that holds Python and nothing else: no shell, no pip, no build tools.
ARG BUILDER=python:3.13-slim-trixie
ARG RUNTIME=gcr.io/distroless/python3-debian13:nonroot

FROM ${BUILDER} AS build
WORKDIR /build
COPY requirements/image.txt .
# Pure Python only: one image for every architecture, and no compiled extension that this pipe does not need.
# The toolkit ships as source; what builds it is pinned too.
RUN pip install --no-cache-dir --no-deps --require-hashes --no-compile --target /opt/pipe/lib -r image.txt
COPY pipe /opt/pipe/lib/pipe
RUN python -m compileall -q -b /opt/pipe/lib && du -sh /opt/pipe/lib/* | sort -h

FROM ${RUNTIME}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="PagerDuty events" \
      org.opencontainers.image.description="Page the people on call when a Bitbucket pipeline breaks, and let them sleep again when it mends." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/pipe/lib /opt/pipe/lib
ENV PYTHONPATH=/opt/pipe/lib PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532
ENTRYPOINT ["/usr/bin/python3.13", "-P", "-m", "pipe"]
