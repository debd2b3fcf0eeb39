"""The long tests have the fixtures of the end-to-end tests and the demo's, and a results page."""

import pytest

from tests.demo.conftest import demo
from tests.e2e.conftest import airflow, ended, explain, fink, inbox
from tests.long.page import LongTestsPage

__all__ = ["airflow", "demo", "ended", "explain", "fink", "inbox"]


def pytest_configure(config: pytest.Config) -> None:
    """Write docs/long-tests.md at the session's end; see tests/long/page.py."""
    config.pluginmanager.register(LongTestsPage())
