"""Looks go on while the API server is away, say why once, and end where none can help."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from fink_k8s.core.base.errors import NotPermitted, Unavailable
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.glue.stream import observations as module
from fink_k8s.glue.stream.observations import observations

SEEN = [Evidence({"status": {}}), Evidence(None)]


class Follower:
    def __init__(self, answers):
        self.answers, self.waits = iter(answers), []

    async def observe(self):
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def changed(self, seconds):
        self.waits.append(seconds)


@pytest.fixture
def seen_by(monkeypatch):
    """Return what comes of so many observations, the follower, and whether it was let go."""

    def run(*answers, looks_wanted, **fields):
        follower, left = Follower(answers), []

        @asynccontextmanager
        async def following(*_):
            try:
                yield follower
            finally:
                left.append(True)

        async def collect():
            found = []
            row = observations("c", "ns", "s", 0, **fields)
            async with aclosing(row):
                async for evidence in row:
                    found.append(evidence)
                    if len(found) == looks_wanted:
                        break
            return found

        monkeypatch.setattr(module, "following", following)
        try:
            return asyncio.run(collect()), follower
        finally:
            assert left == [True]

    return run


def test_each_look_comes_after_news_or_after_a_while(seen_by):
    found, follower = seen_by(*SEEN, looks_wanted=2)
    assert found == SEEN
    assert follower.waits == [0]


def test_an_api_server_that_is_away_is_waited_for_and_told_once(seen_by, caplog):
    away = Unavailable("away")
    found, _ = seen_by(away, away, SEEN[0], away, SEEN[1], looks_wanted=2)
    assert found == SEEN
    assert caplog.text.count("away") == 2, "once for each time that it was away"


ANSWERS = Evidence({"status": {}}, metrics={"gauges": {}})


def test_a_right_that_was_there_may_be_away_for_a_while(seen_by, monkeypatch, caplog):
    """A binding is deleted and made anew, a token is renewed."""
    refused = NotPermitted("no right")
    found, _ = seen_by(ANSWERS, refused, refused, ANSWERS, looks_wanted=2)
    assert found == [ANSWERS, ANSWERS]
    assert caplog.text.count("no right") == 1
    away = Unavailable("away")
    found, _ = seen_by(ANSWERS, away, refused, away, refused, ANSWERS, looks_wanted=2)
    assert found == [ANSWERS, ANSWERS]
    monkeypatch.setattr(module, "REFUSED_SECONDS", 0)
    with pytest.raises(NotPermitted):
        seen_by(ANSWERS, refused, ANSWERS, looks_wanted=2)


def test_a_right_that_an_earlier_trigger_had_may_be_away_for_a_while(seen_by):
    refused = NotPermitted("no right")
    found, _ = seen_by(refused, SEEN[0], looks_wanted=1, was_let_in=True)
    assert found == SEEN[:1]


def test_what_no_look_can_help_ends_them(seen_by):
    with pytest.raises(NotPermitted):
        seen_by(SEEN[0], NotPermitted("no right"), looks_wanted=2)
