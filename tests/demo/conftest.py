"""The demo as `make demo` runs it; nothing of it is left afterwards."""

import subprocess
import sys

import pytest

from tests.e2e.driving import kubectl


@pytest.fixture
def demo(environment):
    yield lambda *flags: subprocess.run(
        [sys.executable, "-m", "testbed.demo", *flags], capture_output=True, text=True, check=False
    )
    subprocess.run([sys.executable, "-m", "testbed.demo", "--down"], check=True)
    kubectl("delete", "sparkapplications", "--all")
