# The service as an image: no root, no writable path but for named specs, kernels compiled when the
# image is built.
#
#   docker build -t seedbed .
#   docker run --rm --read-only -p 8000:8000 seedbed
#
# scripts/replay_dockerfile.py carries out these steps without a Docker engine: CONTRIBUTING.md.

# A tag may come to mean another image. To have exactly the one that you have looked at, give its
# digest, which `docker buildx imagetools inspect python:3.13-slim-trixie` prints:
#
#   docker build --build-arg BASE=python:3.13-slim-trixie@sha256:... -t seedbed .
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# Only files whose hashes are in the locks, of the service and of what builds its wheel.
RUN python -m venv /opt/seedbed && \
    python -m venv /opt/build && \
    /opt/seedbed/bin/pip install --require-hashes --only-binary :all: --requirement requirements.lock && \
    /opt/build/bin/pip install --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
# Compiled for every instruction set, so that the image starts at once on whatever processor it meets.
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /dist . && \
    /opt/seedbed/bin/pip install --no-index --no-deps /dist/*.whl && \
    /opt/seedbed/bin/pip check && \
    /opt/seedbed/bin/seedbed compile --all

FROM ${BASE}
LABEL org.opencontainers.image.title="Seedbed" \
      org.opencontainers.image.description="Seeded initial checkpoints in safetensors, streamed" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="python:3.13-slim-trixie"
RUN groupadd --gid 10001 seedbed && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin seedbed && \
    install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/seedbed
COPY --from=build /opt/seedbed /opt/seedbed
ENV PATH=/opt/seedbed/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    SEEDBED_HOST=0.0.0.0 \
    SEEDBED_PROBE_PORT=8001 \
    SEEDBED_LOG_FORMAT=json \
    SEEDBED_REGISTRY_URL=sqlite:////var/lib/seedbed/registry.db
# Named specs. Engines make a volume of it also with --read-only; give it a name to keep it.
VOLUME /var/lib/seedbed
# By number, so that a cluster can see that it is not root.
USER 10001:10001
WORKDIR /
# The service, and health and metrics for those who watch it: not to be published.
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; e = os.environ.get; probes = e('SEEDBED_PROBE_PORT', '0'); port = probes if int(probes) else e('SEEDBED_PORT', '8000'); r.build_opener(r.ProxyHandler({})).open(f\"http://127.0.0.1:{port}/readyz\", timeout=4)"]
ENTRYPOINT ["seedbed"]
CMD ["serve"]
