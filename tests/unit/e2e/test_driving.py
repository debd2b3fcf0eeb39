"""What the end-to-end tests read from a task's log."""

import pytest

from tests.e2e.driving import lines_with, seconds_to_first_cause

LOG = """\
a line of the log's own, without a time
2026-01-01T18:00:00.500000Z info the form: {'topic': 'no_such_topic', 'night': '20260101'}
2026-01-01T18:00:07Z error topic no_such_topic does not exist on kafka:9092; create the topic
2026-01-01T18:00:12.750000Z error [topic-missing] the driver found no topic
2026-01-01T18:00:40Z error [driver-failed] the driver ended
"""


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["no_such_topic"], 2),
        (["no_such_topic", "create the topic"], 1),
        (["create the topic", "20260101"], 0),
        (["20260101", "no_such_topic"], 1),
    ],
)
def test_a_line_holds_all_of_the_words_or_does_not_count(words, count):
    assert len(lines_with(LOG, *words)) == count


def test_the_first_cause_is_timed_from_the_task_s_first_line():
    assert seconds_to_first_cause(LOG) == 12.25


@pytest.mark.parametrize("log", ["", LOG.replace("[", "("), "no time\n[driver-failed] but a cause"])
def test_a_log_that_names_no_cause_has_no_time_of_it(log):
    with pytest.raises(AssertionError, match="no line names a cause"):
        seconds_to_first_cause(log)
