"""`make demo RELEASE=...`: the same demo on another Spark, for the releases that run here."""

import json

import pytest

from tests.e2e.driving import kubectl

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
]


@pytest.mark.parametrize("tag", ["2.4_3.1.3", "4.0_3.5.7", "4.0_4.2.0"])
def test_the_demo_runs_on_the_release_that_is_named(demo, tag):
    kubectl("delete", "sparkapplications", "--all")
    done = demo("--count", "500", "--rate", "100", "--release", tag)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "Complete: each valid alert is stored, each damaged one is set aside." in done.stdout
    [one] = json.loads(kubectl("get", "sparkapplications", "-o", "json"))["items"]
    assert one["spec"]["sparkVersion"] == tag.partition("_")[2]
