"""Use Airflow's UI as a person does, with Debian's Chromium: read, fill in, trigger, follow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

from testbed.airflow import USER, Airflow

CHROMIUM = "/usr/bin/chromium"
_QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class Person:
    """A person at a browser that shows one Airflow; waits as long as a person would."""

    def __init__(self, page: Page, airflow: Airflow) -> None:
        self.page = page
        self.airflow = airflow

    def log_in(self) -> None:
        """Log in on the login page."""
        self.page.goto(f"{self.airflow.url}/auth/login")
        self.page.fill("input[name=username]", USER)
        self.page.fill("input[name=password]", self.airflow.password)
        self.page.click("[type=submit]")  # a button or an input, depending on the auth manager
        self.page.wait_for_url(lambda url: "/auth/login" not in url)

    def open_dag(self, dag_id: str) -> None:
        """Open a DAG's page from the list of DAGs."""
        self.page.goto(f"{self.airflow.url}/dags")
        self.page.get_by_role("link", name=dag_id, exact=True).first.click()
        expect(self.page.get_by_role("heading", name=dag_id)).to_be_visible(timeout=30_000)

    def documentation(self) -> str:
        """Open the DAG's documentation, return its text, and close it."""
        self.page.get_by_role("button", name="Dag Docs").first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.wait_for()
        text = dialog.inner_text()
        dialog.get_by_role("button", name="Close").click()
        dialog.wait_for(state="hidden")
        return text

    def open_form(self) -> Locator:
        """Open the trigger form of the DAG on the page."""
        self.page.get_by_role("button", name="Trigger").first.click()
        form = self.page.get_by_role("dialog")
        form.get_by_text("Advanced Options").wait_for()
        return form

    def send(self, form: Locator, **texts: str) -> None:
        """Fill in text fields by the names of their parameters, and click the form's button."""
        for name, text in texts.items():
            form.locator(f"#element_{name}").fill(text)
        # With the keyboard, because the message of an earlier refusal may cover the button.
        form.get_by_role("button", name="Trigger").press("Enter")

    def refusal(self, form: Locator) -> str:
        """Return the form's message about values that it refuses."""
        answer = form.get_by_text(re.compile("Invalid input for param"))
        answer.wait_for(timeout=15_000)
        return answer.inner_text()

    def follow_run(self, dag_id: str, run_id: str, state: str, seconds: float) -> None:
        """Watch the page of a run until it shows `state`, e.g. `Success`."""
        self.page.goto(f"{self.airflow.url}/dags/{dag_id}/runs/{run_id}")
        header = self.page.get_by_text(state, exact=True).first
        header.wait_for(timeout=seconds * 1000)

    def follow_link(self, dag_id: str, run_id: str, task_id: str, link: str) -> None:
        """Click a button of a task, and wait for the page that it opens."""
        where = f"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/details"
        self.page.goto(f"{self.airflow.url}{where}")
        self.page.get_by_role("link", name=link).click()
        self.page.wait_for_url(lambda url: where not in url)
        self.page.wait_for_load_state()

    def open_menu(self, menu: str, item: str) -> None:
        """Choose an entry of a menu in the sidebar."""
        self.page.goto(f"{self.airflow.url}/")
        self.page.get_by_role("button", name=menu).first.click()
        self.page.get_by_role("menuitem", name=item).click()

    def take_picture(self, path: Path, part: Locator | None = None) -> None:
        """Save a picture of the page, or of a part of it, once it no longer changes."""
        self.page.wait_for_timeout(2500)
        (part or self.page).screenshot(path=path)


@contextmanager
def person_at(airflow: Airflow, width: int = 1400, height: int = 900) -> Iterator[Person]:
    """Yield a person who is logged in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            person = Person(page, airflow)
            person.log_in()
            yield person
        finally:
            browser.close()
