"""
### Bring up stream2raw

Checks the cluster, grants the driver's rights, creates the store's claim if you ask for it, builds
and pushes the image, submits the stream of one night, and waits until alerts are being stored.

**When to run it:** for a new cluster, a new release, or a single night by hand. With the form's
defaults it brings up tonight's stream of the first survey in surveys.yaml.

**Safe to repeat:** yes. It leaves unchanged what is already in place, and adopts a stream that is
already running: one night never has two drivers. If a stream of that night is running with other
values, it refuses to start another one.

**Which code runs:** this project's job, or Fink's code if the form names its source; see
`fink_image`. If you skip the stage `image`, the image itself determines which program runs.

**Success:** the query is running, and its first batch of alerts is committed to the raw store. A
stream can be healthy on a topic without alerts, but it then has no first batch: for a quiet topic,
skip the stage `first_batch`.

**Two ways to submit:** with the Spark Operator, which restarts a failed driver; or with plain
`spark-submit` from the worker (`submit_with`), for a cluster without the operator. Both run the
same stream, and every DAG that watches, adopts or stops it works the same way. While a stream runs
in one way, submitting it in the other way is refused. Without the operator, a failed driver stays
down until you trigger this DAG again or clear its task `spark_submit`; the driver then restarts
from the same checkpoint.

**If it fails:** the log's last line names the cause and the remedy; see docs/troubleshooting.md.
The task `diagnose_failure` then collects evidence, as `fink_diagnose` does, and logs the address of
the bundle. A failed or killed run does not stop the stream.
"""

from airflow.sdk import chain, dag

from fink_k8s.core.stream.stream_request import DeployRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Bring up one stream: rights, image, submission, first alerts stored",
    schedule=None,
    doc_md=__doc__,
    params=form_of(DeployRequest),
    tags=[Tag.LIFECYCLE],
    **DAG_DEFAULTS,
)
def fink_deploy():
    """Chain the stages of the bring-up."""
    chain(
        stages.check_prerequisites(DeployRequest),
        stages.rbac(),
        stages.prepare_store(),
        stages.image(),
        stages.submit_stream(DeployRequest),
        stages.wait_until_healthy(),
        stages.wait_for_first_batch(),
        stages.diagnose_on_failure(DeployRequest),
    )


fink_deploy()
