"""
### Build and push the image

Fetches Spark and its jars, checks them against their checksums, builds the image in layers and
pushes it. The result is the image's address by digest.

**When to run it:** for a new release, or after a change of the job. `fink_deploy` does the same as
its stage `image`.

**Safe to repeat:** yes. Nothing changed means nothing built and nothing pushed; a change of the
job alone rebuilds the last layer alone.

**Success:** the registry has the image, and the task `build_image` returns its digest.

**If it fails:** the log's last line holds the step of the Dockerfile, or the address that does not
answer. The stage needs a Docker engine (`DOCKER_HOST`) on the worker.
"""

from airflow.sdk import dag

from fink_k8s.core.requests import ImageRequest
from fink_k8s.glue import stages
from fink_k8s.glue.defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.form import form_of


@dag(
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
