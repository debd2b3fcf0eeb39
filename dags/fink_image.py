"""
### Build and push the image

Fetches Spark and its jars, checks them against their checksums, builds the image in stages and
pushes it. The result is the image's address by digest.

| stage of the image | what is in it | built anew when |
|---|---|---|
| `spark` | the base image, Spark, the release's jars | one of these changes |
| `base` | extra jars and Python packages; only where some are asked for | one of these changes |
| `job`, `fink` or `own` | the code | the code changes |

**Which code runs:** this project's own `stream2raw` (`job`), unless **Fink's own code** names a
source: then Fink's code at that revision with its requirements (`fink`), and the program of Fink
named in the form. A **Dockerfile of your own** takes the last stage's place (`own`). Each is given
Fink's own flags; Fink's code needs the `schema_file` of the alerts besides, where it is submitted.
An image carries the name of its program and the commit it was made of as labels, so that the right
program runs whichever image is given.

**What a form may name** is what the settings allow: sources below FINK_SOURCES, Dockerfiles below
FINK_DOCKERFILES, jars that FINK_EXTRA_JARS pins. Python packages come as wheels by the worker's own
package index, and from FINK_WHEELS.

**When to run it:** for a new release, or after a change of the code. `fink_deploy` does the same as
its stage `image`. Build and push can be two runs; into minikube's Docker nothing is pushed.

**Safe to repeat:** yes. Nothing changed means nothing built and nothing pushed; a change of the
code alone rebuilds the last stage alone.

**Success:** the registry (or minikube's Docker) has the image, and the task `build_image` returns
its digest (or its tag).

**If it fails:** the log's last line holds the step of the Dockerfile, or the address that does not
answer. The stage needs a Docker engine on the worker (`DOCKER_HOST`, `DOCKER_TLS_VERIFY`,
`DOCKER_CERT_PATH`).
"""

from airflow.sdk import dag

from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Build the image of the stream and push it",
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
