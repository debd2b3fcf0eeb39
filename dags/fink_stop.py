"""
### Stop streams

Ends the streams that the form names, one task a stream: the driver is asked to end, lets its batch
be committed, and is not started again. Then application, pods, services and config maps are seen
to be gone. Streams of the Spark Operator and of plain spark-submit end in the same way.

**When to run it:** to end a stream that `fink_deploy` has started, or to clear up what is left of
one, in whatever state it is. To end a night that `fink_night` runs, see its page. Name what to
stop: streams by name, a night, or all. An empty form stops nothing. Set *Only look* to see what a
form means.

**Safe to repeat:** yes, also twice at once. What is not there is already so. Nothing but streams of
the configured namespace is touched; data and checkpoint stay, and the next start of the night goes
on where it ended.

**Success:** nothing of the streams is left in the cluster. The task `report` has one line a stream:
what it was, how it ended, what is gone, what was left on purpose.

**If it fails:** the log's last line names what is still there, why, and what to do. A driver that
does not obey is killed at the time limit if the form asks for it, else by Kubernetes a minute later
at the soonest: it knows no request without an end. The task `diagnose_left` gathers all that can be
known of each stream that did not end, as `fink_diagnose` does. A killed run undoes nothing: a
driver that was asked goes on ending.
"""

from airflow.sdk import dag

from fink_k8s.core.stop.stop_request import StopRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Stop streams without cutting a batch",
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
