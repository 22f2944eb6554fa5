# tutumwatch in a container: docker run --init -e TUTUM_AUTH -e SLACK_URL tutumwatch
ARG BASE=python:3.13-slim

# The wheel is built where its tools do not stay.
FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml setup.cfg MANIFEST.in README.md LICENSE ./
COPY tutumwatch tutumwatch
COPY twisted twisted
RUN python -m venv /opt/tutumwatch \
    && /opt/tutumwatch/bin/pip install --no-cache-dir .

FROM ${BASE}
COPY --from=build /opt/tutumwatch /opt/tutumwatch
ENV PATH=/opt/tutumwatch/bin:$PATH \
    PYTHONUNBUFFERED=1
# The list of plugins is written now, by root: the user below may not, and would say so at every
# start.
RUN twistd --help >/dev/null \
    && useradd --system --no-create-home --home-dir /var/lib/tutumwatch --uid 10001 tutumwatch \
    && install -d -o tutumwatch -g tutumwatch -m 0700 /var/lib/tutumwatch
USER tutumwatch
WORKDIR /var/lib/tutumwatch
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9797/healthz', timeout=4)"]
# No pid file: a container that was killed would find its own, and not start again.
ENTRYPOINT ["twistd", "-n", "--pidfile=", "tutumwatch"]
