"""
### Stop streams

Stops the streams that you choose, one task per stream: it asks the driver to stop, lets the batch
be committed, and prevents a restart. Then it waits until application, pods, services and config
maps are gone. It works the same for streams of the Spark Operator and of plain spark-submit.

**When to run it:** to stop a stream that `fink_deploy` started, or to remove what is left of one,
in whatever state it is. To end a night that a night DAG runs, see that DAG's page. Choose streams
by name, a night, or all streams. An empty form stops nothing. Set *Dry run* to see which streams
your choice covers.

**Safe to repeat:** yes, even twice at the same time. A stream that does not exist counts as
stopped. The DAG only touches streams in the configured namespace. Data and checkpoint stay, and the
next start of the night continues where this one ended.

**Success:** nothing of the streams is left in the cluster. The task `report` logs one line per
stream: what it was, how it ended, what was removed, what was kept.

**If it fails:** the log's last line names what is still there, why, and what to do. If a driver has
not stopped at the time limit, it is killed if the form asks for it; otherwise Kubernetes kills it
at the end of its grace period, at least a minute later. The task `diagnose_left` collects evidence
about each stream that did not stop, as `fink_diagnose` does. If you kill this run, a driver that
was asked to stop still stops.
"""

from airflow.sdk import dag

from fink_k8s.core.stop.stop_request import StopRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Stop streams without interrupting a batch",
    schedule=None,
    doc_md=__doc__,
    params=form_of(StopRequest),
    tags=[Tag.LIFECYCLE],
    **DAG_DEFAULTS,
)
def fink_stop():
    """Run the stage `stop` alone."""
    stages.stop_streams()


fink_stop()
