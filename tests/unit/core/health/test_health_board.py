"""What is news: rows of looks, one letter each, and what is told of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_k8s.core.diagnosis.levels import HealthLevel
from fink_k8s.core.health.health_board import FORGOTTEN_AFTER, START_LIMIT, Board, Kind
from fink_k8s.core.health.health_line import StreamLine

STREAM, OTHER = "stream2raw-ztf-20260101", "stream2raw-lsst-20260101"
NOW = datetime(2026, 1, 1, 20, tzinfo=UTC)
EVERY = timedelta(minutes=5)
LEVELS = {
    "W": HealthLevel.WELL,
    "S": HealthLevel.STARTING,
    "E": HealthLevel.ENDED,
    "U": HealthLevel.UNKNOWN,
    "L": HealthLevel.LATE,
    "T": HealthLevel.TROUBLED,
    "X": HealthLevel.STALLED,
    "D": HealthLevel.DEAD,
}


def line(letter, stream=STREAM):
    level = LEVELS[letter]
    return StreamLine(stream, level, f"{stream}: {level}")


def looks(row, *, stopped_at=(), delivered=lambda at: True, board=None):
    """Return what is told at each look of a row (`-`: not there), and the board after it."""
    board, told = board or Board(), []
    for at, letter in enumerate(row):
        lines = [] if letter == "-" else [line(letter)]
        stopped = {STREAM} if at in stopped_at else ()
        board = board.after_look(lines, NOW + at * EVERY, stopped)
        changes = board.changes()
        news = [change for change in changes if change.is_news]
        board = board.having_told(change for change in changes if not change.is_news)
        if delivered(at):
            board = board.having_told(news)
        told.append("".join(change.kind[0] for change in news) or ".")
        board = Board.model_validate(board.model_dump(mode="json"))
    return "".join(told), board


@pytest.mark.parametrize(
    ("row", "told"),
    [
        # A first look at what is well is no news, nor is a start or an end.
        ("WWWW", "...."),
        ("SSWW", "...."),
        ("SWEE", "...."),
        ("EEEE", "...."),
        # Dead and stalled are told at once, and once.
        ("D", "w"),
        ("WDDD", ".w.."),
        ("WXXX", ".w.."),
        # Trouble and lateness are told at the second look in a row.
        ("WTTT", "..w."),
        ("WLLL", "..w."),
        ("WTWTWT", "......"),
        ("WTLLL", "..w.."),  # lateness holds for two looks; the trouble was one only
        ("WUTT", "...w"),
        # Who does not answer is told at the third.
        ("WUUUU", "...w."),
        ("WUUWUUW", "......."),
        # What becomes worse still is told; what becomes less bad is not, until it is well.
        ("WTTDD", "..ww."),
        ("WLLTTXD", "..w.www"),
        ("WDTTLL", ".w...."),
        ("WDSSUU", ".w...."),
        # Well again: after two looks that say so.
        ("WDWW", ".w.b"),
        ("WDSWW", ".w..b"),
        ("WDWWWW", ".w.b.."),
        # Flapping is told once.
        ("WDWDWDWD", ".w......"),
        ("WDWDWW", ".w...b"),
        ("WTTWTTWTT", "..w......"),
        # A second trouble is news once the first one is over.
        ("WDWWDWW", ".w.bw.b"),
        # A trouble that ends with the stream is closed.
        ("WDEE", ".wg."),
        ("WTEE", "...."),
    ],
)
def test_a_change_is_told_once(row, told):
    assert looks(row)[0] == told


@pytest.mark.parametrize(
    ("row", "stopped_at", "told"),
    [
        ("WE-", (), "..."),  # ended by itself, and cleared away
        ("WW--", (2,), "...."),  # asked to end
        ("WD--", (2,), ".wg."),  # asked to end after its trouble was told
        ("WD--", (), ".wg."),  # dead, and cleared away by hand
        ("WW---", (), "..w.."),  # nobody asked
        ("TT--", (), ".ww."),
        ("S-", (), ".w"),
        ("WW--WW", (), "..w..b"),  # and it is there again
        ("WW--D", (), "..w.."),
        ("WW---", (4,), "..w.g"),  # cleared up by fink_stop afterwards
        ("WW--WWW", (2,), "......."),
    ],
)
def test_a_stream_that_is_gone_is_an_alarm_only_if_nobody_asked(row, stopped_at, told):
    assert looks(row, stopped_at=stopped_at)[0] == told


@pytest.mark.parametrize("row", ["WE-", "WD-", "WW-"])
def test_what_is_gone_leaves_the_board(row):
    assert looks(row, stopped_at={2})[1].streams == {}


def test_what_vanished_is_forgotten_after_a_day():
    _, board = looks("WW-")
    assert board.streams[STREAM].has_vanished
    later = board.after_look([], NOW + 2 * EVERY + FORGOTTEN_AFTER)
    assert later.streams == {}


@pytest.mark.parametrize(
    ("row", "away", "told"),
    [
        ("WDDD", {1}, ".ww."),
        ("WDDDD", {1, 2, 3}, ".wwww"),
        ("WDWWW", {3}, ".w.bb"),
        ("WD--", {2}, ".wgg"),
        ("WW--", {2}, "..ww"),
        ("WDWW", {1}, ".w.."),  # over before anybody heard of it
    ],
)
def test_what_was_not_delivered_is_news_again(row, away, told):
    stopped = {2, 3} if row == "WD--" else ()
    assert looks(row, delivered=lambda at: at not in away, stopped_at=stopped)[0] == told


def test_a_start_that_takes_too_long_is_a_trouble():
    told, board = looks("S" * 6)
    assert told == ".....w"
    assert START_LIMIT < 5 * EVERY
    assert "starting for 25 min" in board.streams[STREAM].text


def test_where_nothing_can_be_seen_nothing_is_gone():
    _, board = looks("WW")
    blind = StreamLine("kubernetes", HealthLevel.TROUBLED, "away")
    told = []
    for at in range(3):
        board = board.after_blind_look(blind, NOW + at * EVERY)
        told.append([(change.kind, change.stream) for change in board.changes() if change.is_news])
        board = board.having_told(board.changes())
    assert told == [[], [(Kind.WORSE, "kubernetes")], []]
    assert board.streams[STREAM].seen is HealthLevel.WELL


def test_each_change_has_its_sentence_and_the_worst_comes_first():
    board = Board()
    rows = [(line("D"), line("W", OTHER)), (line("W"), line("D", OTHER)), (line("W"),)]
    found = []
    for at, lines in enumerate(rows):
        board = board.after_look(lines, NOW + at * EVERY)
        found.append([(change.kind, change.sentence) for change in board.changes()])
        board = board.having_told(board.changes())
    assert found == [
        [("worse", f"{STREAM}: dead"), ("new", f"{OTHER}: well")],
        [("worse", f"{OTHER}: dead")],
        [("better", f"{STREAM}: well; it was dead"), ("gone", f"{OTHER}: gone; it was dead")],
    ]


def test_one_that_vanished_says_what_to_do():
    _, board = looks("WW-", delivered=lambda at: False)
    [change] = board.changes()
    assert "nobody stopped the stream with fink_stop; trigger fink_deploy" in change.sentence


def test_a_bundle_is_kept_until_the_trouble_is_over():
    _, board = looks("WD")
    board = board.having_kept(STREAM, "s3a://fink/diagnosis/1")
    _, board = looks("DTW", board=board)
    assert board.streams[STREAM].bundle == "s3a://fink/diagnosis/1"
    _, board = looks("W", board=board)
    assert board.streams[STREAM].bundle == ""


@given(st.text(alphabet="WSEULTXD-", max_size=40))
def test_worse_and_better_take_turns_but_for_what_becomes_worse_still(row):
    told, _ = looks(row)
    without = told.replace(".", "").replace("g", "b")
    assert not without.startswith("b")
    assert "bb" not in without
    assert max(map(len, without.split("b"))) <= len(HealthLevel)


@given(st.text(alphabet="WSEULTXD-", max_size=20), st.integers(2, 5))
def test_the_same_look_over_and_over_is_soon_no_news(row, times):
    again = (row[-1:] or "W") * (times + 3)
    told, _ = looks(row + again)
    assert set(told[-times:]) <= {"."} or again[0] == "S"
