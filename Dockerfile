# The service on the lean set: no torch, no librosa, no scipy.
#   docker build --tag stem-provenance .
#   docker run --rm --user "$(id -u)" --volume "$PWD:/keys" stem-provenance python -m service.keys /keys/keys NAME
#   chmod a+r keys  # the image's user is another one; of random keys their hashes tell nothing
#   docker run --publish 127.0.0.1:8000:8000 --volume "$PWD:/keys:ro" --volume stem:/var/lib/stem \
#     --env STEM_KEYS_FILE=/keys/keys stem-provenance
# `python -m tests.service.image` runs these steps without Docker.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY provenance provenance
COPY service service
COPY training training
COPY models models
RUN python -m venv /opt/stem
RUN /opt/stem/bin/python -m pip install --no-cache-dir --disable-pip-version-check ".[service]"

FROM python:3.11-slim
RUN useradd --system --home-dir /var/lib/stem --create-home stem
COPY --from=build /opt/stem /opt/stem
ENV PATH=/opt/stem/bin:$PATH
ENV STEM_STATE_DIR=/var/lib/stem
ENV PYTHONUNBUFFERED=1
WORKDIR /var/lib/stem
USER stem
VOLUME /var/lib/stem
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=5); c.request('GET', '/readyz'); exit(c.getresponse().status != 200)"]
# Other machines reach this address, so it refuses to start without STEM_KEYS_FILE or STEM_ALLOW_NO_KEYS=true.
CMD ["stem-provenance", "serve", "--host", "0.0.0.0", "--port", "8000"]
