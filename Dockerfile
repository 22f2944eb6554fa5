# tutumwatch in a container: docs/deploying.md says how to build it and run it.
#
# BASE is any image with Python 3.11 or later, its venv module and CA certificates; what pip needs
# to reach an index of your own (pip.conf, certificates) belongs there too.
ARG BASE=python:3.13-slim

# pip and what it leaves behind stay in this stage.
FROM ${BASE} AS build
# More to install beside tutumwatch: packages that bring notifiers of their own.
ARG PLUGINS=
WORKDIR /src
COPY pyproject.toml setup.cfg MANIFEST.in README.md LICENSE ./
COPY tutumwatch tutumwatch
COPY twisted twisted
# The environment gets no pip of its own. Twisted's list of plugins (dropin.cache) is written now,
# by root: the user below may not write it, and would say so at every start. It must be a second
# newer than the plugins, since layers keep whole seconds.
RUN python3 -m venv /tmp/pip \
    && python3 -m venv --without-pip /opt/tutumwatch \
    && /tmp/pip/bin/pip --python /opt/tutumwatch/bin/python install --no-cache-dir . ${PLUGINS} \
    && sleep 1 \
    && /opt/tutumwatch/bin/twistd --help >/dev/null

FROM ${BASE}
COPY --from=build /opt/tutumwatch /opt/tutumwatch
# What is owed lies in STATE_DIRECTORY, where systemd's would be.
ENV PATH=/opt/tutumwatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STATE_DIRECTORY=/var/lib/tutumwatch
# By number, so that whoever hands out secrets and volumes can name the user too.
RUN groupadd --gid 10001 tutumwatch \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home \
        --home-dir /var/lib/tutumwatch --shell /usr/sbin/nologin tutumwatch \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/tutumwatch
# After the folder is made, so that a new volume is the user's; on a read-only root it is all that
# can be written.
VOLUME ["/var/lib/tutumwatch"]
USER 10001:10001
WORKDIR /var/lib/tutumwatch
STOPSIGNAL SIGTERM
# By http.client, which takes no proxy from the environment.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9797, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
# "run" is twistd in the foreground, without a pid file: a container that was killed would find its
# own, and not start again.
ENTRYPOINT ["tutumwatch"]
CMD ["run"]
