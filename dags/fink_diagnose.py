"""
### Find out what is wrong

Collects evidence about a stream: application, pods, events, logs of driver and executors, metrics,
the checkpoint's position, the topic's offsets and the lag. It names one cause with its remedy, and
saves a bundle: in `diagnosis/` of the store, or in the folder `FINK_DIAGNOSIS_DIR`.

**When to run it:** when a stream does not do what it should. With an empty form, it checks every
stream in the namespace and reports the unhealthy ones. `fink_deploy`, night DAGs and `fink_stop`
run the same diagnosis when they fail, and `fink_health` does when a stream becomes unhealthy.
`fink_rbac` and `fink_image` have no stream; see their own logs.

**Safe to repeat:** yes. It only reads, and each bundle has a folder of its own.

**Success:** always, whatever it finds. The log's last line is the cause, or says that nothing is
wrong. The result contains the category, the line and the bundle's address.

**If it fails:** Airflow itself has a problem. If something cannot be checked (a missing right,
Kafka, the store), the log has a warning and the report has a line, but the run does not fail.
"""

from airflow.sdk import dag

from fink_k8s.core.stream.stream_request import DiagnoseRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Find out why a stream is unhealthy, and save a bundle of evidence",
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
