#!/bin/bash
# Start a Spark driver or executor; called by Spark on Kubernetes with the role as first argument.
set -euo pipefail

export SPARK_HOME=/opt/spark
PYTHONPATH="/opt/fink:${SPARK_HOME}/python:$(echo "${SPARK_HOME}"/python/lib/py4j-*.zip)"
export PYTHONPATH

# The role's arguments: Python is the main process of the driver and the JVM its child, so that
# SIGTERM reaches the job, which lets its batch end. spark-submit as the main process would stop
# the SparkContext under the running batch before Python hears of it.
run_driver() {
  local properties="" file=""
  while [ $# -gt 0 ]; do
    case "$1" in
      --properties-file) properties="$2"; shift 2 ;;
      --class) shift 2 ;;
      *) break ;;
    esac
  done
  file="${1#local://}"
  shift
  if [[ "${file}" != *.py ]]; then
    echo "entrypoint: ${file} is no Python program; this image runs stream2raw" >&2
    exit 2
  fi
  export PYSPARK_SUBMIT_ARGS="--properties-file ${properties} --deploy-mode client \
--conf spark.driver.bindAddress=${SPARK_DRIVER_BIND_ADDRESS} pyspark-shell"
  exec /usr/bin/tini -s -- python3 "${file}" "$@"
}

# The executor's main class and its own arguments, by Spark's version: from 3.3 on it is one made
# for Kubernetes; resource profiles came with 3.1.
spark_version() {
  basename "${SPARK_HOME}"/jars/spark-core_*.jar .jar | sed 's/.*-//'
}

run_executor() {
  local options=() backend=()
  case "$(spark_version)" in
    2.* | 3.0.*)
      backend=(org.apache.spark.executor.CoarseGrainedExecutorBackend)
      ;;
    3.[12].*)
      backend=(org.apache.spark.executor.CoarseGrainedExecutorBackend
        --resourceProfileId "${SPARK_RESOURCE_PROFILE_ID}")
      ;;
    *)
      backend=(org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend
        --resourceProfileId "${SPARK_RESOURCE_PROFILE_ID}"
        --podName "${SPARK_EXECUTOR_POD_NAME}")
      ;;
  esac
  # Spark numbers the JVM options from 0: SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ...
  while read -r option; do
    options+=("${option}")
  done < <(env | grep '^SPARK_JAVA_OPT_' | sort -t_ -k4 -n | sed 's/[^=]*=//')
  exec /usr/bin/tini -s -- java "${options[@]}" \
    "-Xms${SPARK_EXECUTOR_MEMORY}" "-Xmx${SPARK_EXECUTOR_MEMORY}" \
    -cp "${SPARK_CONF_DIR:-/opt/spark/conf}:${SPARK_HOME}/jars/*" \
    "${backend[@]}" \
    --driver-url "${SPARK_DRIVER_URL}" \
    --executor-id "${SPARK_EXECUTOR_ID}" \
    --cores "${SPARK_EXECUTOR_CORES}" \
    --app-id "${SPARK_APPLICATION_ID}" \
    --hostname "${SPARK_EXECUTOR_POD_IP}"
}

case "${1:-}" in
  driver) shift; run_driver "$@" ;;
  executor) shift; run_executor ;;
  *) exec /usr/bin/tini -s -- "$@" ;;
esac
