"""Take the pictures for README.md and docs from the running demo: `python -m testbed.screenshots`.

It needs Debian's chromium and a finished run of `fink_deploy`, as after `make demo`. For the
report, it runs a night of some minutes and deletes its driver.
"""

import sys
import time
from datetime import UTC, date, datetime, timedelta

from playwright.sync_api import Locator, ViewportSize

from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.stream.stream_names import driver_pod_name, stream_name
from fink_k8s.glue.base.links import night_report_path
from testbed.airflow import Airflow, AirflowClient
from testbed.alerts.__main__ import make_topic
from testbed.bed import environment
from testbed.browser import Person, person_at
from testbed.demo import alerts_flowing
from testbed.node import kubectl
from testbed.places import ROOT
from testbed.process import TestbedError

FOLDER = ROOT / "docs/images"
DAG, NIGHT_DAG = "fink_deploy", "fink_night_ztf"
NIGHT_SECONDS, HEALTHY_SECONDS, WAIT_SECONDS = 240, 40, 600
FORMS = ("fink_deploy", "fink_night_ztf", "fink_stop")
FORM_VIEW: ViewportSize = {"width": 1400, "height": 3000}
"""In pixels, high enough to show every form without scrolling."""


def main() -> int:
    """Take every picture and name its file."""
    airflow = Airflow(ROOT / ".airflow")
    client = AirflowClient(airflow)
    run = client.last_run(DAG)
    stream = run_night(client)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with person_at(airflow) as person:
        person.follow_run(DAG, run, "Success", seconds=30)
        _take(person, f"{DAG}_grid.png")
        take_forms(person)
        person.page.set_viewport_size({"width": 1100, "height": 800})
        person.page.goto(f"{airflow.url}{night_report_path(stream)}")
        _take(person, "night_report.png")
    return 0


def take_forms(person: Person) -> None:
    """Take a picture of only the form, from its title to its button, for each DAG."""
    person.page.set_viewport_size(FORM_VIEW)
    for dag_id in FORMS:
        person.open_dag(dag_id)
        _take(person, f"{dag_id}_form.png", person.open_form())


def run_night(client: AirflowClient) -> str:
    """Run a night of some minutes, and delete its driver; return its stream."""
    # A night that no earlier call has run.
    night = f"{date(2026, 1, 1) + timedelta(days=time.time() // 60 % 300):%Y%m%d}"
    stream, topic = stream_name("ztf", night), survey_of("ztf").topic_of(night)
    ends = datetime.now(UTC) + timedelta(seconds=NIGHT_SECONDS)
    form = {"night": night, "ends_at": ends.isoformat(timespec="seconds"), "quiet_minutes": 10 / 60,
            "trigger_interval_s": 3}  # fmt: skip
    make_topic(environment()["FINK_KAFKA_SERVERS"], topic, partitions=4)
    with alerts_flowing(topic, 800, 4, seed=1):
        run = client.trigger(NIGHT_DAG, form)
        for task in client.follow(NIGHT_DAG, run, WAIT_SECONDS):
            print(f"{NIGHT_DAG}: {task['task_id']} {task['state']}")
            if (task["task_id"], task["state"]) == ("watch_until_end", "deferred"):
                time.sleep(HEALTHY_SECONDS)
                pod = driver_pod_name(stream)
                kubectl("-n", "spark", "delete", "pod", pod, "--force", "--grace-period=0")
    if (state := client.run_state(NIGHT_DAG, run)) != "success":
        raise TestbedError(f"{NIGHT_DAG} {run} is {state}, so there is no report to show")
    return stream


def _take(person: Person, name: str, part: Locator | None = None) -> None:
    person.take_picture(FOLDER / name, part)
    print((FOLDER / name).relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
