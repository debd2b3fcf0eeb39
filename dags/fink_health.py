"""
### Watch all streams

Checks every stream in the namespace every few minutes (`FINK_HEALTH_MINUTES`), and logs one line
per stream: application, driver, last batch, alerts per second, lag, and what is wrong. When a
stream becomes unhealthy or recovers, it sends one message through the connection `fink_notify`,
with the address of a bundle that shows the problem. Without that connection, the message is only
in the log.

**When to run it:** it runs on its schedule once you unpause it. Trigger it by hand for a check
right now, or to try the targets: *Send a test message*.

**Safe to repeat:** yes. It only reads, and does not repeat a message. It reports a dead or stalled
stream at once; other problems, and a recovery, after two checks in a row agree. A stream that ended
by itself, or that `fink_stop` ended, raises no alarm; a stream that disappeared does.

**Success:** it could check the streams, whatever it found: an unhealthy stream does not make the
run fail.

**If it fails:** it could not check anything. The log's last line names the reason: the API server
does not answer, or a right or the connection `kubernetes_default` is missing. This is reported once
as well. If no target accepted a message, the log has an error line, and the next run sends the
message again.
"""

from airflow.sdk import dag

from fink_k8s.core.health.health_request import HealthRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag, health_interval
from fink_k8s.glue.base.form import form_of


@dag(
    description="Report the health of every stream, and send a message when it changes",
    schedule=health_interval(),
    doc_md=__doc__,
    params=form_of(HealthRequest),
    tags=[Tag.WATCH],
    **DAG_DEFAULTS,
)
def fink_health():
    """Run the stage `health` alone."""
    stages.report_health()


fink_health()
