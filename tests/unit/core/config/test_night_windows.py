from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.names import date_of, night_from
from fink_k8s.core.config.night_windows import NightWindow, window_from

PARIS, SANTIAGO = "Europe/Paris", "America/Santiago"
ZONES = (PARIS, SANTIAGO, "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Niue")


def clocks_change(zone, day):
    """Tell whether the zone's clocks change between the noon before `day` and that of `day`."""
    noons = [datetime.combine(day - timedelta(days=n), time(12), ZoneInfo(zone)) for n in (0, 1)]
    return noons[0].utcoffset() != noons[1].utcoffset()


DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(8 * 365)]
CHANGES = {zone: [day for day in DAYS if clocks_change(zone, day)] for zone in ZONES}
# Midnight, the hours that are skipped or come twice, and noon come more often than others.
TIMES = st.times().map("{:%H:%M}".format) | st.sampled_from(
    [f"{hour}:{minute}" for hour in ("00", "01", "02", "12", "23") for minute in ("00", "01", "30")]
)
MOMENTS = st.datetimes(datetime(2000, 1, 3), datetime(2099, 1, 1), timezones=st.just(UTC))


@st.composite
def windows(draw):
    zone = draw(st.sampled_from(ZONES))
    return window_from(f"{zone} {draw(TIMES)}-{draw(TIMES)}")


@st.composite
def windows_and_days(draw):
    window = draw(windows())
    near = [day + timedelta(days=n) for day in CHANGES[window.zone.key] for n in (-1, 0, 1)]
    leap = [date(2024, 2, 28), date(2024, 2, 29), date(2027, 12, 31)]
    day = draw(st.sampled_from(near + leap) | st.dates(date(2000, 1, 1), date(2099, 12, 31)))
    return window, f"{day:%Y%m%d}"


def test_the_zones_of_the_tests_do_change_their_clocks():
    for zone in (PARIS, SANTIAGO, "Australia/Lord_Howe"):
        assert len(CHANGES[zone]) == 2 * 8


@settings(deadline=None, max_examples=400)
@given(windows_and_days())
def test_nights_come_in_order_one_a_date_and_never_overlap(case):
    window, name = case
    night = window.night(name)
    after = window.following(night)
    assert night.name == name
    assert date_of(after.name) == date_of(name) + timedelta(days=1)
    assert night.start <= night.end <= after.start
    assert night.start < after.start
    if window.opens == window.closes:
        assert night.end == after.start


@settings(deadline=None, max_examples=400)
@given(windows_and_days())
def test_the_night_of_a_moment_is_the_last_that_has_opened(case):
    window, name = case
    night = window.night(name)
    after = window.following(night)
    assert window.night_at(night.start) == night
    assert window.night_at(after.start - timedelta(microseconds=1)) == night
    assert window.night_at(after.start) == after


@settings(deadline=None, max_examples=400)
@given(windows_and_days())
def test_a_night_opens_on_its_date_at_its_time_or_at_the_first_one_that_there_is(case):
    window, name = case
    opens = window.night(name).start.astimezone(window.zone)
    assert window.night(name).start.tzinfo is UTC
    late = opens.replace(tzinfo=None) - datetime.combine(date_of(name), window.opens)
    # An hour is skipped in Paris and Santiago, half of one on Lord Howe.
    assert late in (timedelta(), timedelta(minutes=30), timedelta(hours=1))
    if late:
        assert clocks_change(window.zone.key, date_of(name))


@settings(deadline=None, max_examples=400)
@given(windows(), MOMENTS)
def test_the_night_of_any_moment_may_be_asked_for_at_that_moment(window, moment):
    """A zone east of Greenwich is at most one date ahead of UTC, which is all that is allowed."""
    night = window.night_at(moment)
    assert night.start <= moment < window.following(night).start
    assert night_from(night.name, today=moment.date()) == night.name


@settings(deadline=None)
@given(windows(), MOMENTS, st.sampled_from(["Asia/Tokyo", *ZONES]))
def test_who_asks_from_where_does_not_matter(window, moment, zone):
    assert window.night_at(moment.astimezone(ZoneInfo(zone))) == window.night_at(moment)
    assert window_from(str(window)) == window


@pytest.mark.parametrize(
    ("text", "name", "start", "end"),
    [
        ("Europe/Paris 00:01-20:00", "20260101", "2025-12-31T23:01", "2026-01-01T19:00"),
        ("Europe/Paris 00:01-20:00", "20260701", "2026-06-30T22:01", "2026-07-01T18:00"),
        # An hour shorter, and an hour longer.
        ("Europe/Paris 00:01-20:00", "20260329", "2026-03-28T23:01", "2026-03-29T18:00"),
        ("Europe/Paris 00:01-20:00", "20261025", "2026-10-24T22:01", "2026-10-25T19:00"),
        ("America/Santiago 12:00-12:00", "20260404", "2026-04-04T15:00", "2026-04-05T16:00"),
        ("America/Santiago 12:00-12:00", "20260905", "2026-09-05T16:00", "2026-09-06T15:00"),
        # Over midnight, over the leap day, over the year.
        ("Europe/Paris 20:00-06:00", "20240228", "2024-02-28T19:00", "2024-02-29T05:00"),
        ("Europe/Paris 20:00-06:00", "20240229", "2024-02-29T19:00", "2024-03-01T05:00"),
        ("Europe/Paris 20:00-06:00", "20251231", "2025-12-31T19:00", "2026-01-01T05:00"),
        # 02:30 is skipped: 03:30 is what the clocks then show.
        ("Europe/Paris 02:30-20:00", "20260329", "2026-03-29T01:30", "2026-03-29T18:00"),
        ("Europe/Paris 20:00-02:30", "20260328", "2026-03-28T19:00", "2026-03-29T01:30"),
        # 02:30 comes twice: opened at the first, closed at the second.
        ("Europe/Paris 02:30-20:00", "20261025", "2026-10-25T00:30", "2026-10-25T19:00"),
        ("Europe/Paris 20:00-02:30", "20261024", "2026-10-24T18:00", "2026-10-25T01:30"),
        # In Santiago midnight itself is skipped, and the hour before it comes twice.
        ("America/Santiago 00:00-12:00", "20260906", "2026-09-06T04:00", "2026-09-06T15:00"),
        ("America/Santiago 12:00-00:00", "20260905", "2026-09-05T16:00", "2026-09-06T04:00"),
        ("America/Santiago 23:30-12:00", "20260404", "2026-04-05T02:30", "2026-04-05T16:00"),
        ("America/Santiago 12:00-23:30", "20260404", "2026-04-04T15:00", "2026-04-05T03:30"),
        # Both borders come twice: the next night opens before this one would close.
        ("Europe/Paris 02:30-02:30", "20261024", "2026-10-24T00:30", "2026-10-25T00:30"),
        ("Europe/Paris 02:30-02:10", "20261024", "2026-10-24T00:30", "2026-10-25T00:30"),
        # Skipped as a whole, the night is there, and empty.
        ("Europe/Paris 02:30-03:00", "20260329", "2026-03-29T01:30", "2026-03-29T01:30"),
        # Lord Howe moves its clocks by half an hour.
        ("Australia/Lord_Howe 02:15-12:00", "20261004", "2026-10-03T15:45", "2026-10-04T01:00"),
    ],
)
def test_a_night_lies_where_the_local_clocks_say(text, name, start, end):
    night = window_from(text).night(name)
    assert (night.start, night.end) == tuple(
        datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (start, end)
    )


def test_a_moment_after_the_close_is_still_of_the_night_that_was():
    window = window_from("Europe/Paris 00:01-20:00")
    for at in ("2026-01-01T19:00", "2026-01-01T23:00:59"):
        assert window.night_at(datetime.fromisoformat(at + "+00:00")).name == "20260101"


def test_clocks_that_go_back_over_midnight_do_not_close_the_night_that_has_opened():
    """So they did in Newfoundland: from 00:01 of the 7th back to 23:01 of the 6th."""
    window = window_from("America/St_Johns 00:00-20:00")
    opened = datetime(2010, 11, 7, 2, 30, tzinfo=UTC)
    moments = [opened + timedelta(minutes=n) for n in (-1, 0, 1, 30, 61)]
    assert moments[3].astimezone(window.zone).date() == date(2010, 11, 6)
    names = [window.night_at(one).name for one in moments]
    assert names == ["20101106", *["20101107"] * 4]


def test_a_night_some_dates_earlier_is_found_over_a_change_of_the_clocks():
    window = window_from("Europe/Paris 00:01-20:00")
    assert window.before(window.night("20261026"), 3) == window.night("20261023")


def test_a_moment_without_time_zone_has_no_night():
    with pytest.raises(InvalidRequest, match="without a time zone"):
        window_from("Europe/Paris 00:01-20:00").night_at(datetime(2026, 1, 1))


@pytest.mark.parametrize("name", ["", "20260230", "2026-01-01", "19991231", None])
def test_what_is_no_date_is_no_night(name):
    with pytest.raises(InvalidRequest, match=r"^night "):
        window_from("Europe/Paris 00:01-20:00").night(name)


def test_a_window_is_read_as_it_is_written():
    window = window_from("  Europe/Paris  00:01-20:00 ")
    assert window == NightWindow(ZoneInfo(PARIS), time(0, 1), time(20))
    assert (str(window), window.hours) == ("Europe/Paris 00:01-20:00", "00:01-20:00")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "not of the form ZONE HH:MM-HH:MM; use e.g. Europe/Paris 00:01-20:00"),
        ("Europe/Paris", "not of the form"),
        ("00:01-20:00", "not of the form"),
        ("Europe/Paris 00:01", "not of the form"),
        ("Europe/Paris 00:01 20:00", "not of the form"),
        ("Europe/Paris 00:01-20:00 x", "not of the form"),
        ("Europe/Paris\n00:01-20:00", "not of the form"),
        ("Europe/Paris \uff10\uff10:01-20:00", "not of the form"),
        ("Europe/Pari 00:01-20:00", "time zone 'Europe/Pari' is unknown"),
        ("Europe 00:01-20:00", "time zone 'Europe' is unknown"),
        ("../Paris 00:01-20:00", "time zone '../Paris' is unknown"),
        ("/etc/passwd 00:01-20:00", "time zone '/etc/passwd' is unknown"),
        ("tzdata.zi 00:01-20:00", "time zone 'tzdata.zi' is unknown"),
        ("\u202eEurope 00:01-20:00", r"time zone '\\u202eEurope' is unknown"),
        ("Europe/Paris 24:00-20:00", "time '24:00' is not a valid time of day; use 00:00 to 23:59"),
        ("Europe/Paris 00:01-25:00", "time '25:00' is not a valid time"),
        ("Europe/Paris 00:60-20:00", "time '00:60' is not a valid time"),
        ("Europe/Paris 0:01-20:00", "time '0:01' is not a valid time"),
        ("Europe/Paris 0001-20:00", "time '0001' is not a valid time"),
        ("Europe/Paris 00:01:30-20:00", "time '00:01:30' is not a valid time"),
    ],
)
def test_what_is_no_window_is_refused_with_the_rule(text, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        window_from(text)
    assert str(caught.value).isascii()
