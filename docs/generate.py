"""Write the pages that come from the code: `make docs` (a test fails when they are stale)."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Made by `make docs` from the code; do not edit. -->\n"


def pages() -> Mapping[Path, str]:
    """Return each generated page's path and text."""
    return {
        ROOT / "docs/dags.md": catalogue(),
        ROOT / "docs/configuration.md": configuration(),
        ROOT / "docs/compatibility.md": compatibility(),
        ROOT / "include/surveys.schema.json": surveys_schema(),
        ROOT / "docs/troubleshooting.md": troubleshooting(),
    }


def catalogue() -> str:
    """Return the catalogue of DAGs: each one's own documentation and its form."""
    lines = [NOTE, "# The DAGs\n"]
    for dag in _one_for_each_page(_dags()):
        lines += [f"## {dag.dag_id}\n", f"{dag.description}.\n"]
        lines += [f"Tags: {', '.join(sorted(dag.tags))}.\n"]
        lines += [_lower_headings(dag.doc_md), "", "| parameter | default | allowed | meaning |"]
        lines += ["|---|---|---|---|"]
        lines += [_row(name, dag.params.get_param(name)) for name in dag.params]
        lines += ["", "Tasks, in order: " + ", ".join(f"`{t}`" for t in _tasks(dag)) + ".\n"]
    return "\n".join(lines)


def configuration() -> str:
    """Return the table of settings and connections."""
    from fink_k8s.core.config.settings import Settings
    from fink_k8s.core.store.stores import StoreSettings

    of_store = {"store_prefix": StoreSettings.model_fields["store_prefix"]}  # which comes first
    of_store |= StoreSettings.model_fields
    others = {k: v for k, v in Settings.model_fields.items() if k not in of_store}
    tables = [*_settings(others), "", "## The store\n", *_settings(of_store)]
    return "\n".join([NOTE, "# Configuration\n", _ONCE, *tables, "", _CONNECTIONS])


def _settings(fields: dict[str, FieldInfo]) -> list[str]:
    """Return the lines of a table of settings."""
    from fink_k8s.core.config.settings import ENV_PREFIX

    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        default = "the user's cache" if field.default_factory else f"`{field.default}`"
        example = f" E.g. `{field.examples[0]}`." if field.examples else ""
        shown = "" if default == "``" else default
        lines.append(f"| `{ENV_PREFIX}{name.upper()}` | {shown} | {field.description}{example} |")
    return lines


def compatibility() -> str:
    """Return the compatibility matrix."""
    from docs.matrix import MATRIX, page
    from fink_k8s.core.config.releases import releases_from

    return NOTE + "\n" + page(releases_from(MATRIX.read_text()))


def surveys_schema() -> str:
    """Return the JSON schema of surveys.yaml, for editors."""
    from fink_k8s.core.config.surveys import Surveys

    return json.dumps(Surveys.model_json_schema(), indent=2) + "\n"


def troubleshooting() -> str:
    """Return the page of causes as it is, with the catalogue's remedies."""
    from docs.remedies import PAGE, with_remedies

    return with_remedies(PAGE.read_text())


_ONCE = """\
An installation is configured once, by environment variables of every Airflow component; nothing
of it is in a trigger form.
"""
_CONNECTIONS = """\
## Airflow connections

| connection | for what | rights |
|---|---|---|
| `kubernetes_default` | submit, adopt, watch, stop streams | include/kubernetes/\
airflow-account.yaml; for `submit_with: spark-submit` airflow-spark-submit.yaml as well |
| `kubernetes_admin` | stages `preflight`, `rbac`, `store` | grant roles, read nodes, make claims \
and the pull secret |
| `fink_store` (type aws) | read a store `s3a://`: counts, commits | login, password: its keys |
| the one a survey names in surveys.yaml (type kafka) | brokers of that survey | its extra: \
`bootstrap.servers` |
| `fink_notify` (any type) | tell people what `fink_health` sees | its password: addresses of \
[Apprise](https://appriseit.com/services/), with spaces or line ends between |
| `docker_default` (type docker) | push, pull and look up images | only where the registry has a \
login: host (with its port), login, password |

With `submit_with: spark-submit` the worker runs Spark's own program: it needs Java, and takes
Spark from `FINK_SPARK_URL` into `FINK_CACHE_DIR`. The connection may be a kubeconfig, its
content, or that of a pod; its credential is a token or a client certificate with an RSA key.

`DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` name the Docker engine of the stage
`image`; the default is the local socket. For minikube they are what `minikube docker-env` prints.

## Tasks that start at once

With LocalExecutor each task imports Airflow's Kubernetes provider, seconds before it does anything.
Airflow 3.3 can import it once and fork tasks from there; docker-compose.yaml and the testbed do so:

```
AIRFLOW__SCHEDULER__MP_START_METHOD=forkserver
AIRFLOW__CORE__MP_FORKSERVER_PRELOAD=airflow,airflow.executors.local_executor,\
airflow.sdk.execution_time.task_runner,fink_k8s.glue.stages
```

## What a form may put into an image

A form names sources, Dockerfiles and jars; only what the settings allow is taken.

- `FINK_SOURCES=/opt/fink/sources,https://github.com/astrolabsoftware`: a form may name `x`, the
  folder or tarball `/opt/fink/sources/x`, and git repositories below that address. A branch or tag
  becomes a full commit id, which the image carries as a label. Submodules are not fetched. The
  worker needs git.
- `FINK_DOCKERFILES=/opt/fink/dockerfiles`: the form's `mine` is the folder `mine` there, with its
  `Dockerfile` and what lies beside it; `stream2raw/` and, with Fink's own code, `fink/` are in the
  build context too. It begins with `ARG SPARK_IMAGE` and `FROM ${SPARK_IMAGE}`; start from
  `include/image/stream2raw/Dockerfile`, which compiles the decoder that this project's job needs,
  or from `include/image/fink/Dockerfile`.
- `FINK_EXTRA_JARS=group:artifact:version@sha256:...`: Maven brings them.
- `FINK_WHEELS=/opt/fink/wheels`: Python packages are taken as wheels only, since a source archive
  would run its own code on the worker. Where Fink's requirements name an address
  (`git+https://...`) or a package that has no wheel (`avro-python3`), build one yourself
  (`pip wheel --no-deps`) into this folder. Other indexes that a requirements file names are left
  out, as the log says.
"""


def main() -> int:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


def _dags() -> dict[str, Any]:
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp())
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    # The first DAG imports Airflow's providers, which takes long on a busy machine.
    os.environ.setdefault("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "180")
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    if bag.import_errors:
        raise SystemExit(str(bag.import_errors))
    return dict(bag.dags)


def _one_for_each_page(dags: Mapping[str, Any]) -> list[Any]:
    """Return one DAG for each page in the UI: the night DAGs of all surveys share theirs."""
    pages = {dags[dag_id].doc_md: dags[dag_id] for dag_id in sorted(dags)}
    return list(pages.values())


def _tasks(dag: Any) -> list[str]:
    return [task.task_id for task in dag.topological_sort()]


def _lower_headings(text: str) -> str:
    return text.strip().replace("### ", "**", 1).replace("\n", "**\n", 1)


def _row(name: str, param: Any) -> str:
    schema = param.schema
    default = "" if param.value is None else f"`{param.value}`"
    values = schema.get("enum") or (schema.get("items") or {}).get("enum")
    if values:
        allowed = ", ".join(f"`{value}`" for value in values)
    elif "const" in schema:
        allowed = "fixed"
    elif "minimum" in schema:
        allowed = f"{schema['minimum']} to {schema['maximum']}"
    else:
        pattern = schema.get("pattern") or (schema.get("items") or {}).get("pattern", "")
        allowed = "`{}`".format(pattern.replace("|", "\\|"))
    meaning = f"{schema['title']}. {param.description}"
    return f"| `{name}` | {default} | {allowed} | {meaning} |"


if __name__ == "__main__":
    sys.exit(main())
