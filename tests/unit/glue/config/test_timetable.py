"""The scheduler's loop over weeks, with Airflow's own bookkeeping of the next run."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from airflow.models.dag import DagModel
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.timezone import coerce_datetime
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.types import DagRunType

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.night_windows import window_from
from fink_k8s.glue.config.timetable import (
    LOOK_BACK,
    NightTimetable,
    night_named_in,
)

ZTF = "Europe/Paris 00:01-20:00"
LSST = "America/Santiago 12:00-12:00"
# Each week has a change of the clocks, or the leap day, in its midst.
WEEKS = [
    (ZTF, "2026-03-25"),
    (ZTF, "2026-10-21"),
    (ZTF, "2024-02-25"),
    (LSST, "2026-04-01"),
    (LSST, "2026-09-02"),
    # 02:30 is skipped in March and comes twice in October.
    ("Europe/Paris 02:30-02:30", "2026-03-25"),
    ("Europe/Paris 02:30-02:30", "2026-10-21"),
    # Midnight itself is skipped.
    ("America/Santiago 00:00-00:00", "2026-09-02"),
]
STEP = timedelta(minutes=30)


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dag_of(window, **arguments):
    """Return a DAG as the scheduler has it: out of the database."""
    dag = DAG("night", schedule=NightTimetable("ztf", window), **{"catchup": False} | arguments)
    BaseOperator(task_id="one", dag=dag)
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


@dataclass
class Run:
    """Of a DAG run what Airflow computes the next one from."""

    run_id: str
    data_interval_start: datetime
    data_interval_end: datetime
    run_after: datetime
    made_at: datetime
    partition_key: str | None = None
    partition_date: datetime | None = None

    @property
    def night(self):
        return night_named_in(self.run_id)


class Airflow:
    """DAG processor and scheduler, with Airflow's own code for what they write down of a DAG."""

    def __init__(self, window, **arguments):
        self.dag = dag_of(window, **arguments)
        self.model = DagModel(dag_id="night")
        self.runs = []

    def read_dags(self):
        """As `update_dags` in airflow/dag_processing/collection.py."""
        latest = max(self.runs, key=lambda run: run.data_interval_start, default=None)
        self.model.calculate_dagrun_date_fields(self.dag, reference_run=latest)

    def make_runs(self, now):
        """As `_create_dag_runs` in airflow/jobs/scheduler_job_runner.py."""
        due = self.model.next_dagrun_create_after
        if due is None or due > now:
            return
        timetable = self.dag.timetable
        info = timetable.next_run_info_from_dag_model(dag_model=self.model)
        run_id = timetable.generate_run_id(
            run_type=DagRunType.SCHEDULED,
            run_after=info.run_after,
            data_interval=info.data_interval,
            partition_key=None,
        )
        # The database has these two unique.
        assert info.logical_date not in [run.data_interval_start for run in self.runs]
        assert run_id not in [run.run_id for run in self.runs]
        self.runs.append(Run(run_id, *info.data_interval, info.run_after, now))
        self.model.calculate_dagrun_date_fields(self.dag, reference_run=self.runs[-1])

    def live(self, start, end, *, away=(), paused=(), scheduler_first=False):
        """Run both from `start` to `end`, but not in the spans of `away` and `paused`."""
        with time_machine.travel(start, tick=False) as clock:
            while start < end:
                if not within(away, start):
                    clock.move_to(start)
                    parts = [self.read_dags]
                    if not within(paused, start):
                        parts.insert(0 if scheduler_first else 1, lambda: self.make_runs(start))  # noqa: B023
                    for part in parts:
                        part()
                start += STEP

    @property
    def nights(self):
        return [run.night for run in self.runs]


def catching_up(since):
    """Return the arguments of a DAG that catches up `since` a moment, if there is one."""
    return {"catchup": True, "start_date": since} if since else {}


def within(spans, at):
    return any(begin <= at < end for begin, end in spans)


def dates(first, last):
    """Return all dates from `first` to `last`, `YYYYMMDD`."""
    day, end = (datetime.strptime(one, "%Y%m%d") for one in (first, last))
    return [f"{day + timedelta(days=n):%Y%m%d}" for n in range((end - day).days + 1)]


@pytest.mark.parametrize("scheduler_first", [False, True])
@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize(("window", "begin"), WEEKS)
def test_each_night_is_run_once_and_begins_when_it_opens(window, begin, catchup, scheduler_first):
    start = moment(f"{begin}T15:30")
    end = start + timedelta(days=8)
    nights = window_from(window)
    first = nights.night_at(start)
    airflow = Airflow(window, **catching_up(first.start if catchup else None))
    airflow.live(start, end, scheduler_first=scheduler_first)
    assert first.end > start, "the first night is open when all begins"
    assert airflow.nights == dates(first.name, nights.night_at(end - STEP).name)
    for run in airflow.runs:
        night = nights.night(run.night)
        assert (run.data_interval_start, run.data_interval_end) == (night.start, night.end)
        assert run.run_after == night.start
        assert timedelta() <= run.made_at - max(night.start, start) <= STEP


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("2026-01-01T18:50", "20260101"),
        ("2026-01-01T19:00", "20260102"),
        ("2026-01-01T22:50", "20260102"),
        ("2026-01-01T23:10", "20260102"),
    ],
)
def test_the_first_night_is_the_open_one_or_the_next_to_open(start, first):
    airflow = Airflow(ZTF)
    airflow.live(moment(start), moment("2026-01-03T12:00"))
    assert airflow.nights == dates(first, "20260103")


@pytest.mark.parametrize("kind", ["away", "paused"])
@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize(
    ("since", "until"),
    [
        # Over an opening; over a whole day; over the change of the clocks; within one night.
        ("2026-03-26T22:10", "2026-03-27T00:10"),
        ("2026-03-26T12:00", "2026-03-28T12:00"),
        ("2026-03-28T20:00", "2026-03-29T22:30"),
        ("2026-03-27T06:00", "2026-03-27T08:00"),
        ("2026-03-26T22:50", "2026-03-29T22:00"),
    ],
)
def test_an_outage_or_a_pause_of_some_nights_leaves_none_out(since, until, catchup, kind):
    airflow = Airflow(ZTF, **catching_up(moment("2026-03-24T23:01") if catchup else None))
    spans = [(moment(since), moment(until))]
    airflow.live(moment("2026-03-25T12:00"), moment("2026-04-01T12:00"), **{kind: spans})
    assert airflow.nights == dates("20260325", "20260401")


@pytest.mark.parametrize("kind", ["away", "paused"])
@pytest.mark.parametrize("window", [ZTF, "Europe/Paris 20:00-06:00", "Europe/Paris 12:00-12:00"])
@pytest.mark.parametrize("hour", range(0, 72, 7))
def test_no_pause_below_the_limit_leaves_a_night_out(window, hour, kind):
    """The longest ones that the rule allows, over the change of the clocks, from any hour."""
    since = moment("2026-10-22T16:00") + timedelta(hours=hour)
    spans = [(since, since + LOOK_BACK * timedelta(days=1) - STEP)]
    airflow = Airflow(window)
    airflow.live(moment("2026-10-21T16:00"), moment("2026-10-30T16:00"), **{kind: spans})
    assert airflow.nights == dates(airflow.nights[0], airflow.nights[-1])
    assert airflow.nights[-1] == window_from(window).night_at(moment("2026-10-30T15:30")).name


AWAY = [(moment("2026-01-04T12:00"), moment("2026-01-14T12:00"))]
BEFORE, AFTER = dates("20260101", "20260104"), dates("20260111", "20260116")


@pytest.mark.parametrize("kind", ["away", "paused"])
def test_after_ten_days_only_the_last_nights_are_made_up(kind):
    airflow = Airflow(ZTF)
    airflow.live(moment("2026-01-01T12:00"), moment("2026-01-16T12:00"), **{kind: AWAY})
    assert airflow.nights == BEFORE + AFTER
    assert len(dates(AFTER[0], "20260114")) == LOOK_BACK + 1


def test_a_scheduler_that_is_back_first_runs_what_was_written_down_before_the_outage():
    """It is Airflow that made the night ready before; the page of the nights says so."""
    airflow = Airflow(ZTF)
    airflow.live(moment("2026-01-01T12:00"), moment("2026-01-16T12:00"), away=AWAY,
                 scheduler_first=True)  # fmt: skip
    assert airflow.nights == [*BEFORE, "20260105", *AFTER]


def test_with_catch_up_every_night_is_made_up():
    airflow = Airflow(ZTF, **catching_up(moment("2025-12-31T23:01")))
    airflow.live(moment("2026-01-01T12:00"), moment("2026-01-16T12:00"), away=AWAY)
    assert airflow.nights == dates("20260101", "20260116")


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-10-25T22:30", "20261022"),
        ("2026-10-25T23:01", "20261023"),
        ("2026-03-29T22:00", "20260326"),
        ("2026-03-29T22:05", "20260327"),
    ],
)
def test_what_is_made_up_is_counted_in_nights_not_in_hours(now, first):
    with time_machine.travel(moment(now), tick=False):
        interval = next_after(NightTimetable("ztf", ZTF), ("2025-12-31T23:01", "2026-01-01T19:00"))
    assert window_from(ZTF).night_at(interval.start).name == first


def test_a_night_that_is_run_by_hand_counts_for_nothing():
    """Runs by hand are no automated ones: Airflow hands none of them to the timetable."""
    timetable = NightTimetable("ztf", ZTF)
    by_hand = timetable.infer_manual_data_interval(run_after=at("2026-01-01T21:00"))
    assert by_hand.start == moment("2025-12-31T23:01")
    with time_machine.travel(moment("2026-01-01T21:00"), tick=False):
        assert next_after(timetable, None).start == moment("2026-01-01T23:01")


def at(text):
    return coerce_datetime(moment(text))


def next_after(timetable, last, *, earliest=None, latest=None, catchup=False):
    """Return the next run's interval."""
    info = timetable.next_dagrun_info(
        last_automated_data_interval=last and DataInterval(*map(at, last)),
        restriction=TimeRestriction(earliest and at(earliest), latest and at(latest), catchup),
    )
    return info and info.data_interval


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize("last", [None, ("2025-12-30T23:01", "2025-12-31T19:00")])
@pytest.mark.parametrize(
    ("earliest", "start"),
    [
        ("2026-02-01T00:00", "2026-02-01T23:01"),
        ("2026-02-01T23:01", "2026-02-01T23:01"),
        ("2026-02-01T23:02", "2026-02-02T23:01"),
    ],
)
def test_no_night_opens_before_the_dags_start_date(earliest, start, last, catchup):
    with time_machine.travel(moment("2026-01-01T12:00"), tick=False):
        timetable = NightTimetable("ztf", ZTF)
        interval = next_after(timetable, last, earliest=earliest, catchup=catchup)
    assert interval.start == moment(start)


@pytest.mark.parametrize(("catchup", "start"), [(False, "2025-12-31T23:01"),
                                                (True, "2025-06-01T22:01")])  # fmt: skip
def test_the_nights_since_a_start_date_are_for_catch_up_alone(catchup, start):
    with time_machine.travel(moment("2026-01-01T12:00"), tick=False):
        timetable = NightTimetable("ztf", ZTF)
        interval = next_after(timetable, None, earliest="2025-06-01T00:00", catchup=catchup)
    assert interval.start == moment(start)


@pytest.mark.parametrize(("latest", "is_run"), [("2026-01-01T23:01", True),
                                                ("2026-01-01T23:00", False)])  # fmt: skip
def test_no_night_opens_after_the_dags_end_date(latest, is_run):
    last = ("2025-12-31T23:01", "2026-01-01T19:00")
    with time_machine.travel(moment("2026-01-01T12:00"), tick=False):
        interval = next_after(NightTimetable("ztf", ZTF), last, latest=latest)
    assert (interval is not None) is is_run


def test_a_backfill_has_each_night_that_opens_between_its_dates():
    infos = dag_of(ZTF).iter_dagrun_infos_between(
        moment("2026-03-27T00:00"), moment("2026-03-30T23:00")
    )
    assert [f"{info.run_after:%m-%dT%H:%M}" for info in infos] == [
        "03-27T23:01", "03-28T23:01", "03-29T22:01", "03-30T22:01",
    ]  # fmt: skip


@pytest.mark.parametrize("moved", ["Europe/Paris 00:05-20:00", "Europe/Paris 06:00-05:00"])
def test_a_window_that_moves_within_its_date_repeats_no_night(moved):
    last = ("2025-12-31T23:01", "2026-01-01T19:00")
    with time_machine.travel(moment("2026-01-01T12:00"), tick=False):
        interval = next_after(NightTimetable("ztf", moved), last)
    assert window_from(moved).night_at(interval.start).name == "20260102"


@pytest.mark.parametrize(
    ("now", "start"),
    [("2026-01-02T10:00", "2026-01-02T15:00"), ("2026-01-02T16:00", "2026-01-02T15:00"),
     ("2026-01-09T16:00", "2026-01-06T15:00")],
)  # fmt: skip
def test_another_survey_goes_on_with_its_own_nights(now, start):
    """The nights of the one before, in Paris, say nothing of those in Santiago."""
    last = ("2026-01-01T23:01", "2026-01-02T19:00")
    with time_machine.travel(moment(now), tick=False):
        assert next_after(NightTimetable("lsst", LSST), last).start == moment(start)


def test_a_name_that_a_moved_window_gives_twice_is_no_id_twice():
    """Opened at 00:01 before, at 23:55 of the same date now."""
    ids = [
        run_id(NightTimetable("ztf", ZTF), "2026-01-01T23:01"),
        run_id(NightTimetable("ztf", "Europe/Paris 23:55-20:00"), "2026-01-02T22:55"),
    ]
    assert [night_named_in(one) for one in ids] == ["20260102", "20260102"]
    assert len(set(ids)) == 2


def run_id(timetable, start, run_type=DagRunType.SCHEDULED):
    start = at(start)
    return timetable.generate_run_id(
        run_type=run_type, run_after=start, data_interval=DataInterval(start, start.add(hours=19))
    )


def test_a_scheduled_runs_id_names_its_night():
    ztf = NightTimetable("ztf", ZTF)
    name = run_id(ztf, "2025-12-31T23:01")
    assert name == "scheduled__night-20260101__2025-12-31T23:01:00+00:00"
    # Airflow's default rule for ids, and its way to know a scheduled run by its id.
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]+", name)
    assert DagRunType.from_run_id(name) is DagRunType.SCHEDULED
    assert night_named_in(name) == "20260101"


@pytest.mark.parametrize("run_type", [one for one in DagRunType if one != DagRunType.SCHEDULED])
def test_other_runs_have_airflows_ids_which_name_no_night(run_type):
    name = run_id(NightTimetable("ztf", ZTF), "2026-01-01T12:00:00.123456", run_type)
    assert name == f"{run_type.value}__2026-01-01T12:00:00.123456+00:00"
    assert night_named_in(name) == ""


def test_a_run_by_hand_without_a_date_has_airflows_id_too():
    name = NightTimetable("ztf", ZTF).generate_run_id(
        run_type=DagRunType.MANUAL, run_after=at("2026-01-01T12:00"), data_interval=None
    )
    assert name == "manual__2026-01-01T12:00:00+00:00"


@pytest.mark.parametrize(
    "name",
    ["", "night-20260101", "manual__night-20260101__x", "scheduled__night-2026__x",
     "scheduled__2026-01-01T00:00:00+00:00", "x scheduled__night-20260101__x"],
)  # fmt: skip
def test_another_id_names_no_night(name):
    assert night_named_in(name) == ""


def test_it_is_the_same_after_the_database():
    dag = dag_of(LSST)
    assert isinstance(dag.timetable, NightTimetable)
    assert dag.timetable.serialize() == {"survey": "ztf", "window": LSST}
    assert dag.timetable.summary == "ztf nights 12:00-12:00 America/Santiago"
    assert dag.timetable.description == NightTimetable("ztf", LSST).description


def test_one_that_no_plugin_registers_does_not_get_there():
    from airflow.serialization.helpers import TimetableNotRegistered

    class Unknown(NightTimetable):
        pass

    dag = DAG("night", schedule=Unknown("ztf", ZTF))
    with pytest.raises(Exception, match="Unknown") as caught:
        DagSerialization.to_dict(dag)
    causes = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any(isinstance(one, TimetableNotRegistered) for one in causes)


def test_one_that_cannot_be_is_refused_where_it_is_made():
    with pytest.raises(InvalidRequest, match="is unknown"):
        NightTimetable("ztf", "Mars/Base 00:01-20:00")


def test_a_stored_dag_of_a_survey_that_was_taken_out_of_the_file_can_still_be_read():
    stored = NightTimetable("atlas", ZTF).serialize()
    assert NightTimetable.deserialize(stored).summary.startswith("atlas nights")
