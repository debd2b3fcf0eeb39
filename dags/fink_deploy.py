"""
### Bring up stream2raw

Checks the cluster, grants the driver's rights, makes the store's claim where asked, builds and
pushes the image, submits the stream of one night, and waits until alerts are being stored.

**When to run it:** for a new cluster, a new release, or a night by hand. The form's defaults bring
up tonight's ZTF stream.

**Safe to repeat:** yes. What is already so is left alone, and a stream that runs is adopted: one
night never has two drivers. Other values for a night that runs are refused.

**Which code runs:** this project's job, or Fink's own code where the form names its source; see
`fink_image`. Where the stage `image` is skipped, the image itself says which program is in it.

**Success:** the query lives and its first batch of alerts is committed to the raw store. A topic
without alerts is healthy, but has no first batch: skip the stage `first_batch` for a quiet one.

**Two ways to submit:** with the Spark Operator, which starts a dead driver again; or by plain
`spark-submit` from the worker (`submit_with`), for a cluster without the operator. The stream is
the same one: whatever watches, adopts or stops it does not see a difference, and what runs in one
way is refused in the other. Without the operator a driver that died stays dead until this DAG is
triggered again, or its task `spark_submit` cleared: that starts it anew on the same checkpoint.

**If it fails:** the log's last line names the cause and the remedy; see docs/troubleshooting.md.
The task `diagnose_failure` then gathers all that can be known of the stream, as `fink_diagnose`
does, and names the bundle's address. The stream itself is left as it is, whatever happens to
this run.
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
