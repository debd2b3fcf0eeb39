"""
### Build and push the image

Downloads Spark and its JARs, verifies their checksums, builds the image in stages and pushes it.
The result is the image's address with its digest.

| stage of the image | contents | rebuilt when |
|---|---|---|
| `spark` | the base image, Spark, the release's JARs | one of these changes |
| `base` | extra JARs and Python packages, if any | one of these changes |
| `job`, `fink` or `own` | the code | the code changes |

**Which code runs:** this project's own `stream2raw` (`job`), unless you enter a **source of Fink's
code**: then Fink's code at that revision with its requirements (`fink`), and the program of Fink
that the form names. **Your own Dockerfile** replaces the last stage (`own`). All of them take
Fink's own flags. Fink's code also needs the `schema_file` of the alerts when it is submitted. The
image's labels hold the name of its program and the commit it was built from, so the right program
runs from any image.

**What you can enter** is limited by the settings: sources in FINK_SOURCES, Dockerfiles in
FINK_DOCKERFILES, JARs that FINK_EXTRA_JARS pins. Python packages are installed as wheels from the
worker's own package index, and from FINK_WHEELS.

**When to run it:** for a new release, or after a change of the code. `fink_deploy` does the same in
its stage `image`. Build and push can be two runs. With minikube's Docker engine, nothing is pushed.

**Safe to repeat:** yes. If nothing changed, it builds and pushes nothing. If only the code changed,
it rebuilds only the last stage.

**Success:** the registry (or minikube's Docker engine) has the image, and the task `build_image`
returns its digest (or its tag).

**If it fails:** the log's last line names the step of the Dockerfile that failed, or the address
that does not answer. The stage needs a Docker engine on the worker (`DOCKER_HOST`,
`DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`).
"""

from airflow.sdk import dag

from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Build the stream's image and push it",
    schedule=None,
    doc_md=__doc__,
    params=form_of(ImageRequest),
    tags=[Tag.STAGE],
    **DAG_DEFAULTS,
)
def fink_image():
    """Run the stage `image` alone."""
    stages.image()


fink_image()
