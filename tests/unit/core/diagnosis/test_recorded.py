"""Each category from evidence of the real fault, as the tests on the testbed recorded it."""

from dataclasses import replace

import pytest

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.checks import diagnose
from tests.recording import FOLDER, recorded

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))

# A category that has come in two shapes was recorded twice.
OTHER_SHAPES = {
    "out-of-memory-executor": Category.OUT_OF_MEMORY,
    "topic-deleted": Category.TOPIC_MISSING,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_real_fault_is_named(name):
    found = diagnose(recorded(name))
    assert found.category == OTHER_SHAPES.get(name, name)
    line = str(found)
    assert line.startswith(f"[{found.category}] ")
    assert line.endswith(found.remedy)
    assert len(line) < 1000
    assert "\n" not in line


def test_each_shape_was_recorded():
    assert set(OTHER_SHAPES) <= set(NAMES)


@pytest.mark.parametrize("category", Category)
def test_no_category_is_without_evidence(category):
    assert category.value in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_named_where_there_is_no_stream(name):
    seen = recorded(name)
    gone = replace(
        seen, application=None, pods=(), driver_log="", failures={}, position=None, topic=None
    )
    assert diagnose(replace(gone, unanswered={})) is None
