"""
### Run a night

Runs one night of one survey from start to proof: checks what the night needs, submits the stream
or adopts the one that is running, watches it until the night ends, waits for late alerts, lets the
last batch finish, stops the stream, and proves by offsets and rows that every alert of the night is
stored.

**When to run it:** it runs on its schedule, when each night opens. Each survey in surveys.yaml has
its own night DAG; the survey's entry sets the schedule and the defaults of the form. A survey that
has no topic for each night has no schedule. Trigger the DAG by hand for another night.

**To end it early:** mark the task `watch_until_end` as success. The run then waits for late alerts,
stops the stream, and proves the night. (If `when_killed` is `stop`, the stream stops at once,
without waiting for late alerts.) `fink_stop` only stops the stream: this run then fails, because it
cannot know why the stream stopped, and nothing is proved.

**While it runs,** it occupies no worker, and the stream does not depend on Airflow: if the task is
interrupted, its next try adopts the stream. The Spark Operator restarts a failed driver. If it
gives up, or if the query is dead although its driver is running, this DAG restarts the stream from
the same checkpoint and records why. A restart loses and duplicates nothing. If a stream keeps
failing, the run fails and names the reason.

**Safe to repeat:** yes, also while it runs: a night has one driver, and another run of the same
night adopts it.

**Success:** the night is over, its stream is stopped, nothing of it is left in the cluster, and
every alert that was read is counted in the store. The task `verify_night` reports this.

**If it fails:** the log's last line names the cause and the remedy; see docs/troubleshooting.md.
The task `diagnose_failure` then collects evidence, as `fink_diagnose` does, and notifies the
targets of the connection `fink_notify`. The stream is left as it is. Trigger the night again to
adopt the stream, or to continue where it ended.
"""

from airflow.sdk import chain, dag

from fink_k8s.core.config.surveys import load_surveys
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import NIGHT_DEFAULTS, Tag
from fink_k8s.glue.night.night_form import night_dag_id, night_form, night_schedule

for survey in load_surveys().surveys:

    @dag(
        dag_id=night_dag_id(survey.name),
        description=f"Run a night of {survey.name}: submit, watch, restart, stop and prove",
        schedule=night_schedule(survey),
        doc_md=__doc__,
        params=night_form(survey),
        tags=[Tag.LIFECYCLE],
        **NIGHT_DEFAULTS,
    )
    def fink_night():
        """Chain the stages of a night."""
        plan = stages.plan_night()
        watched = stages.watch_until_end(plan)
        drained = stages.drain_late_alerts()
        stopped = stages.stop_night()
        chain(
            plan,
            stages.check_prerequisites(NightRequest),
            stages.submit_or_adopt(),
            stages.wait_until_healthy(),
            watched,
            drained,
            stopped,
            stages.prove_night(plan, watched, drained, stopped),
            stages.diagnose_on_failure(NightRequest, tells=True),
        )

    fink_night()
