"""The DAG in docs/nightly-report.md, as whoever copies it gets it."""

import re
from types import SimpleNamespace

import pytest

from docs.generate import ROOT
from fink_k8s.glue.base.assets import RAW_NIGHTS
from tests.facts import facts_of


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    from airflow.dag_processing.dagbag import DagBag

    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/nightly-report.md").read_text(), re.S
    )
    file = tmp_path_factory.mktemp("dags") / "raw2science.py"
    file.write_text(code)
    bag = DagBag(str(file))
    assert bag.import_errors == {}
    return bag.dags["raw2science"]


def test_it_waits_for_the_nights_that_are_verified(example):
    (asset,) = example.timetable.asset_condition.objects
    assert (asset.name, asset.uri) == (RAW_NIGHTS.name, RAW_NIGHTS.uri)


def test_it_finds_where_the_alerts_are_and_passes_over_what_nobody_proved(example):
    events = [SimpleNamespace(extra=facts.as_extra()) for facts in
              (facts_of(), facts_of(counts=None, unseen="no way"))]  # fmt: skip
    begin = example.get_task("begin").python_callable
    assert begin(triggering_asset_events={RAW_NIGHTS: events}) == [
        ("20260101", "s3a://fink/raw/20260101")
    ]


def test_the_page_names_every_field_of_the_event():
    text = (ROOT / "docs/nightly-report.md").read_text().partition("The extra has")[2]
    for name in facts_of().as_extra():
        assert f"`{name}`" in text
