"""
### Find out what is wrong

Gathers all that can be known of a stream: application, pods, events, logs of driver and executors,
metrics, the checkpoint's position, the topic's offsets and the lag. It names one cause with its
remedy, and keeps a bundle: below `diagnosis/` of the store, or in the folder `FINK_DIAGNOSIS_DIR`.

**When to run it:** when a stream does not do what it should. With nothing in the form it looks at
each stream of the namespace, and tells of those that are not well. `fink_deploy`, `fink_night` and
`fink_stop` do the same by themselves when they fail, `fink_health` when a stream turns bad;
`fink_rbac` and `fink_image` have no stream, and their own log says what is wrong.

**Safe to repeat:** yes; it reads only, and each bundle has a folder of its own.

**Success:** always: this DAG does not fail for what it finds. The log's last line is the cause, or
that nothing is wrong; the result holds category, line and the bundle's address.

**If it fails:** Airflow itself is not well. What it could not look at (a right, Kafka, the store)
is a warning in its log and a line in the report, not a failure.
"""

from airflow.sdk import dag

from fink_k8s.core.stream.stream_request import DiagnoseRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Find out why a stream is in trouble, and keep a bundle",
    schedule=None,
    doc_md=__doc__,
    params=form_of(DiagnoseRequest),
    tags=[Tag.TROUBLE],
    **DAG_DEFAULTS,
)
def fink_diagnose():
    """Run the stage `diagnose` alone."""
    stages.diagnose_streams()


fink_diagnose()
