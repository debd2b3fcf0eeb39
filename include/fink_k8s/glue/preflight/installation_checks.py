"""Check every connection and setting of an installation, where the tasks run."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fink_k8s import heartbeat
from fink_k8s.adapters.base.notify import check_targets
from fink_k8s.adapters.kafka.broker import check_brokers
from fink_k8s.adapters.preflight import installation
from fink_k8s.core.base.errors import FinkError, OutOfSight
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.config.surveys import load_surveys
from fink_k8s.core.preflight.prerequisites import Finding, FindingLevel, check_operator_ready
from fink_k8s.glue.base import connections
from fink_k8s.glue.base.steps import INCLUDE, release_of

_WORDS = {FindingLevel.OK: "ok", FindingLevel.WARNING: "warning", FindingLevel.ERROR: "missing"}
_PLUGIN = "fink"


@dataclass(frozen=True)
class Check:
    """One question: its name, how it is asked, and the remedy where the answer is an error."""

    name: str
    ask: Callable[[], Iterable[Finding] | str]
    remedy: str


def run_checks(checks: Iterable[Check] | None = None, *, say: Say) -> int:
    """Say what each check finds, and how to fix it; return 1 where something is missing."""
    missing = 0
    for check in checks if checks is not None else all_checks():
        for finding in _findings_of(check):
            say(f"{_WORDS[finding.level]:8} {check.name}: {finding.text}")
            if finding.level is not FindingLevel.OK:
                say(f"{'':8} fix it: {finding.remedy or check.remedy}")
            missing += finding.level is FindingLevel.ERROR
    say(f"{missing} missing" if missing else "nothing is missing")
    return 1 if missing else 0


def all_checks() -> list[Check]:
    """Return every check, what others rest on first."""
    in_env = "set it in .env and run `make up`"
    return [
        Check("library", lambda: f"fink_k8s of {INCLUDE}", "put include/ on PYTHONPATH"),
        Check("components", _components, "see `docker compose ps` and `docker compose logs`"),
        Check("settings", _settings, f"correct the variable: {in_env}"),
        Check(
            "plugin", _plugin, "mount plugins/ into every component, and put include/ on PYTHONPATH"
        ),
        Check("DAGs", _dags, "see the import errors above the list of DAGs; rebuild by `make up`"),
        Check(
            connections.STREAMS_CONNECTION,
            _streams_account,
            "KUBECONFIG_STREAMS in .env: a kubeconfig that AIRFLOW_UID can read, of the account "
            "in include/kubernetes/airflow-account.yaml",
        ),
        Check(
            connections.ADMIN_CONNECTION,
            _admin_account,
            "KUBECONFIG_ADMIN in .env: a kubeconfig that AIRFLOW_UID can read, of an account that "
            "reads nodes and grants roles",
        ),
        Check(
            connections.STORE_CONNECTION,
            _store,
            "AIRFLOW_CONN_FINK_STORE, FINK_STORE_PREFIX, FINK_STORE_ENDPOINT in .env: keys, "
            "bucket and address of the store",
        ),
        Check(
            connections.NOTIFY_CONNECTION,
            _targets,
            "AIRFLOW_CONN_FINK_NOTIFY in .env: addresses for Apprise in its password, separated "
            "by spaces; then send a test message with fink_health",
        ),
        Check("Kafka", _kafka, f"FINK_KAFKA_SERVERS, or `brokers` in surveys.yaml: {in_env}"),
        Check(
            "registry",
            _registry,
            f"FINK_IMAGE_REPOSITORY: {in_env}; check that the registry runs, that this host can "
            "reach it, and that AIRFLOW_CONN_DOCKER_DEFAULT has its login",
        ),
        Check(
            "image base",
            _image_base,
            f"FINK_IMAGE_BASE: {in_env}",
        ),
        Check(
            "Spark archive",
            _spark_archive,
            f"FINK_SPARK_URL: {in_env}",
        ),
        Check(
            connections.DOCKER_CONNECTION,
            _docker_engine,
            "DOCKER_SOCKET and DOCKER_GID in .env: a Docker engine's socket and its group, or "
            "FINK_DOCKER_HOST; without an engine, skip the stage image",
        ),
        Check(
            "Java",
            lambda: installation.check_program(["java", "-version"]),
            "install a JRE in the image: spark-submit needs it; see Dockerfile",
        ),
        Check(
            "Maven",
            lambda: installation.check_program(["mvn", "--batch-mode", "--version"]),
            "install Maven in the image: it downloads the image's JARs; see Dockerfile",
        ),
    ]


def _findings_of(check: Check) -> Iterator[Finding]:
    try:
        found = check.ask()
        if isinstance(found, str):
            yield Finding(FindingLevel.OK, found)
        else:
            yield from found
    except FinkError as error:
        yield Finding(FindingLevel.ERROR, str(error))
    except Exception as error:  # whatever a client throws is a finding, and no end of the rest
        yield Finding(
            FindingLevel.ERROR, " ".join(f"{type(error).__name__}: {error}".split())[:300]
        )


def _needed(field: str) -> Settings:
    """Return the settings, which must include `field`."""
    settings = load_settings()
    settings.need(field)
    return settings


def _registry() -> str:
    repository = _needed("image_repository").image_repository
    return installation.check_registry(repository, connections.registry_login())


def _image_base() -> str:
    base = _needed("image_base").image_base_of(release_of("").java)
    return installation.check_image(base, connections.registry_login())


def _spark_archive() -> str:
    return installation.check_archive(_needed("spark_url").spark_url_of(release_of("").spark))


def _components() -> Iterator[Finding]:
    for name, status in heartbeat.statuses().items():
        level = FindingLevel.OK if status == "healthy" else FindingLevel.ERROR
        yield Finding(level, f"{name} is {status}")


def _settings() -> str:
    settings = load_settings()
    return f"streams run in namespace {settings.namespace} as {settings.service_account}"


def _plugin() -> Iterator[Finding]:
    from airflow import plugins_manager

    errors = plugins_manager.get_import_errors()
    for file, error in errors.items():
        yield Finding(FindingLevel.ERROR, f"{file}: {error}")
    if _PLUGIN in {plugin["name"] for plugin in plugins_manager.get_plugin_info(["name"])}:
        yield Finding(FindingLevel.OK, f"{_PLUGIN} is loaded")
    elif not errors:
        yield Finding(FindingLevel.ERROR, f"{_PLUGIN} is not in plugins/")


def _dags() -> Iterator[Finding]:
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag

    folder = conf.get_mandatory_value("core", "dags_folder")
    bag = DagBag(folder)
    for file, error in bag.import_errors.items():
        lines = error.strip().splitlines()
        yield Finding(
            FindingLevel.ERROR, f"{Path(file).name}: {lines[-1] if lines else 'not readable'}"
        )
    if bag.dags:
        yield Finding(FindingLevel.OK, ", ".join(sorted(bag.dags)))
    elif not bag.import_errors:
        yield Finding(FindingLevel.ERROR, f"none in {folder}")


def _streams_account() -> str:
    cluster = connections.cluster(connections.STREAMS_CONNECTION)
    version, namespace = cluster.version(), load_settings().namespace
    running = len(cluster.pods(namespace))
    return f"Kubernetes {version}; may list the pods of namespace {namespace}, {running} now"


def _admin_account() -> Iterator[Finding]:
    cluster, settings = connections.cluster(connections.ADMIN_CONNECTION), load_settings()
    yield Finding(FindingLevel.OK, f"Kubernetes {cluster.version()}, {len(cluster.nodes())} nodes")
    where = settings.operator_namespace
    yield from check_operator_ready(cluster.crd_exists(), cluster.deployments(where), where)


def _store() -> Iterator[Finding]:
    # The root is where reports and bundles go; a survey can have a store of its own.
    own = [load_settings().for_survey(survey) for survey in load_surveys().surveys]
    for settings in {one.store.host: one for one in [*own, load_settings()]}.values():
        try:
            connections.store(settings).check()
        except OutOfSight as error:
            unseen = f"{settings.store} cannot be read from here; the driver's own counts are used"
            yield Finding(FindingLevel.WARNING, unseen, str(error))
        else:
            yield Finding(FindingLevel.OK, f"{settings.store} can be read")


def _targets() -> Iterator[Finding]:
    targets = connections.notify_targets()
    if targets:
        yield Finding(FindingLevel.OK, check_targets(targets))
    else:
        yield Finding(
            FindingLevel.WARNING,
            "nobody receives a message when a stream becomes unhealthy: it is only in the log",
        )


def _kafka() -> Iterator[Finding]:
    surveys: dict[str, list[str]] = {}
    for name in load_surveys().names:
        settings = connections.survey_settings(name)
        settings.need("kafka_servers")
        surveys.setdefault(settings.kafka_servers, []).append(name)
    for servers, names in surveys.items():
        brokers = f"{check_brokers(servers)} brokers behind {servers}"
        yield Finding(FindingLevel.OK, f"{brokers}, for {', '.join(names)}")


def _docker_engine() -> Iterator[Finding]:
    address = urlsplit(os.environ.get("DOCKER_HOST", ""))
    if address.scheme == "unix" and _is_covered(Path(address.path)):
        yield Finding(FindingLevel.WARNING, "no Docker engine is set: the stage image cannot run")
        return
    version = connections.docker_client().version()["Version"]
    yield Finding(FindingLevel.OK, f"Docker engine {version}")


def _is_covered(socket: Path) -> bool:
    """Tell whether the compose file has mounted /dev/null in the socket's place."""
    return socket.exists() and stat.S_ISCHR(socket.stat().st_mode)
