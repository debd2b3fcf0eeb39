"""Take the pictures of README.md from the running demo: `python -m testbed.screenshots`.

Needs Debian's chromium and a finished run of `fink_deploy`, as `make demo` leaves it.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from testbed.airflow import USER, Airflow, AirflowClient
from testbed.places import ROOT

CHROMIUM = "/usr/bin/chromium"
FOLDER = ROOT / "docs/images"
DAG = "fink_deploy"


def main() -> int:
    """Take every picture and name its file."""
    airflow = Airflow(ROOT / ".airflow")
    run = AirflowClient(airflow).last_run(DAG)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        log_in(page, airflow)
        page.goto(f"{airflow.url}/dags/{DAG}/runs/{run}")
        take(page, "fink_deploy_grid.png", wait_for="wait_for_first_batch")
        page.goto(f"{airflow.url}/dags/{DAG}")
        page.get_by_role("button", name="Trigger").first.click()
        page.set_viewport_size({"width": 1400, "height": 1700})
        take(page, "fink_deploy_form.png", wait_for="Survey")
        browser.close()
    return 0


def log_in(page: Page, airflow: Airflow) -> None:
    """Log in as a person does."""
    page.goto(f"{airflow.url}/auth/login")
    page.fill("input[name=username]", USER)
    page.fill("input[name=password]", airflow.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/auth/login" not in url)


def take(page: Page, name: str, wait_for: str) -> Path:
    """Save a picture of the page once `wait_for` can be read on it."""
    page.get_by_text(wait_for).first.wait_for(timeout=30_000)
    page.wait_for_timeout(2500)
    path = FOLDER / name
    page.screenshot(path=path)
    print(path.relative_to(ROOT))
    return path


if __name__ == "__main__":
    sys.exit(main())
