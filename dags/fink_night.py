"""
### Run a night

Runs one night of one survey from start to proof: checks what the night needs, submits the stream
or adopts the one that is running, watches it until the night ends, waits for late alerts, lets the
last batch finish, stops the stream, and proves by offsets and rows that every alert of the night is
stored.

**When to run it:** it runs on its schedule, every night from the moment the night opens. Each
survey in surveys.yaml has a night DAG of its own; its schedule and the defaults of its form come
from there. A survey without a topic for each night has no schedule. Trigger it by hand for another
night.

**To end it early:** mark the task `watch_until_end` as success. Late alerts are then waited for,
the stream is stopped, and the night is proved (where `when_killed` is `stop`, the stream is stopped
at once, and late alerts are not waited for). `fink_stop` ends the stream alone: this run then
fails, for it cannot know why, and nothing is proved.

**While it runs** no worker is held, and whatever happens to Airflow, the stream goes on: the next
try adopts it. A driver that dies is started again by the Spark Operator; where that gives up, or
the query is dead under a running driver, this DAG starts it anew on the same checkpoint, and notes
why. Nothing is lost or doubled by that. A stream that dies again and again ends as failed, with its
reason.

**Safe to repeat:** yes, also while it runs: a night has one driver, and another run of the same
night adopts it.

**Success:** the night is over, its stream is stopped, nothing of it is left in the cluster, and
every alert that was read is counted in the store. The task `verify_night` says so.

**If it fails:** the log's last line names the cause and the remedy; see docs/troubleshooting.md.
The task `diagnose_failure` then gathers all that can be known, as `fink_diagnose` does, and tells
whom the connection `fink_notify` names. The stream is left as it is; trigger the night again, and
it is adopted, or started where it ended.
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
        description=f"Run a night of {survey.name}: stream, watch, restart, stop and prove",
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
