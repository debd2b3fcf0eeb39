# Airflow with the packages, DAGs, plugins and library of this project, for docker-compose.yaml.
# The slim image holds Airflow alone; every package beside it comes from requirements.txt, by hash.
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11
# hadolint ignore=DL3006
FROM ${AIRFLOW_IMAGE}

USER 0
# Java is for spark-submit, Maven brings the image's jars, git Fink's code. The distribution pins
# their versions.
# Slim images have no manual pages, and Maven's package wants their folder.
# hadolint ignore=DL3008
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        default-jre-headless git maven \
    && rm -rf /var/lib/apt/lists/* \
    # New volumes take owner and mode from here; group 0 may write, whatever AIRFLOW_UID is.
    && install -d -o 50000 -g 0 -m 775 /opt/airflow/cache /opt/airflow/files /opt/airflow/logs

USER 50000
COPY requirements.txt /opt/airflow/requirements.txt
# An index or a certificate authority of your own: build with the secrets `pip.conf` and `ca.pem`.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf,mode=0444 \
    --mount=type=secret,id=ca.pem,target=/run/secrets/ca.pem,mode=0444 \
    pip install --no-cache-dir --quiet --require-hashes -r /opt/airflow/requirements.txt

COPY dags /opt/airflow/dags
COPY plugins /opt/airflow/plugins
COPY include /opt/airflow/include
ENV PYTHONPATH=/opt/airflow/include
