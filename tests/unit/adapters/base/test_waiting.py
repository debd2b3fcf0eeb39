import pytest

from fink_k8s.adapters.base.waiting import ask_until_true
from fink_k8s.core.base.errors import Unavailable


def test_the_first_true_answer_is_returned():
    answers = iter([0, "", None, "here", "later"])
    assert ask_until_true(lambda: next(answers), 5, pause=0) == "here"
    assert next(answers) == "later"


@pytest.mark.parametrize("seconds", [-1, 0])
def test_without_time_it_is_asked_once(seconds):
    asked = []
    assert ask_until_true(lambda: asked.append(1), seconds, pause=0) is None
    assert asked == [1]


def test_when_the_time_is_over_the_last_answer_is_returned():
    asked = []
    assert ask_until_true(lambda: asked.append(1) or 0, 0.05, pause=0.01) == 0
    assert 2 <= len(asked) <= 6


def test_an_error_is_raised_at_once():
    answers = iter([False])

    def ask():
        try:
            return next(answers)
        except StopIteration:
            raise Unavailable("away") from None

    with pytest.raises(Unavailable, match="away"):
        ask_until_true(ask, 5, pause=0)
