"""
### Watch all streams

Looks at every stream of the namespace every few minutes (`FINK_HEALTH_MINUTES`), and says in one
line each how it is: application, driver, the last batch, alerts a second, lag, and what is wrong.
A change for the worse or for the better is told once, by the connection `fink_notify`, with the
address of a bundle that shows the trouble; without that connection it is in the log only.

**When to run it:** by its schedule, once it is unpaused. By hand for a look right now, or to try
the targets: *Send a test message*.

**Safe to repeat:** yes; it only looks. What was told is not told again: a dead or stalled stream
is told at once, other troubles when two looks in a row show them, and that it is well again after
two looks that say so. A stream that ended by itself, or by `fink_stop`, is no alarm; one that
vanished is.

**Success:** it could look, whatever it saw: a stream that is not well does not turn it red.

**If it fails:** it could look at nothing: the API server is away, a right or the connection
`kubernetes_default` is missing, as the log's last line says. That is told once as well. A message
that nobody took is an error line in the log, and is sent again with the next run.
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
