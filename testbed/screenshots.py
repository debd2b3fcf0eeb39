"""Take the pictures of README.md and docs from the running demo: `python -m testbed.screenshots`.

Needs Debian's chromium and a finished run of `fink_deploy`, as `make demo` leaves it.
"""

import sys

from fink_k8s.glue.links import night_report_path
from testbed.airflow import Airflow, AirflowClient
from testbed.browser import Person, person_at
from testbed.places import ROOT

FOLDER = ROOT / "docs/images"
DAG = "fink_deploy"
FORMS = {"fink_deploy": 1700, "fink_night": 1500, "fink_stop": 1100}
"""DAG -> height of its form, in pixels."""


def main() -> int:
    """Take every picture and name its file."""
    airflow = Airflow(ROOT / ".airflow")
    run = AirflowClient(airflow).last_run(DAG)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with person_at(airflow) as person:
        person.follow_run(DAG, run, "Success", seconds=30)
        _take(person, f"{DAG}_grid.png")
        for dag_id, height in FORMS.items():
            person.open_dag(dag_id)
            person.open_form()
            person.page.set_viewport_size({"width": 1400, "height": height})
            _take(person, f"{dag_id}_form.png")
        take_report(person, airflow)
    return 0


def take_report(person: Person, airflow: Airflow) -> None:
    """Take the latest night's report; the demo alone has run no night."""
    person.page.set_viewport_size({"width": 1100, "height": 760})
    person.page.goto(f"{airflow.url}{night_report_path('')}")
    reports = person.page.locator("a[href*='stream2raw-']")
    if reports.count():
        reports.first.click()
        _take(person, "night_report.png")


def _take(person: Person, name: str) -> None:
    person.take_picture(FOLDER / name)
    print((FOLDER / name).relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
