import json
from datetime import UTC, datetime

import pytest
from pyarrow import fs

from fink_k8s.adapters.store.archive import keep_bundle, keep_report, kept_report, kept_streams
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.core.base.errors import InvalidRequest, OutOfSight, Unavailable
from fink_k8s.core.config.settings import Settings
from tests.facts import facts_of

STREAM = "stream2raw-ztf-20260101"
MOMENT = datetime(2025, 1, 1, 20, 1, 2, tzinfo=UTC)
SETTINGS = Settings(store_prefix="s3a://fink")


@pytest.fixture
def opened(tmp_path):
    (tmp_path / "fink").mkdir()
    files = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    return lambda: Store(SETTINGS.store, files)


def out_of_sight():
    raise OutOfSight("FINK_STORE_MOUNT is not set")


def at_folder(path):
    return SETTINGS.model_copy(update={"diagnosis_dir": str(path)})


def test_a_bundle_goes_to_the_store_or_to_the_folder_that_is_configured(opened, tmp_path):
    files = {"report.md": "words", "logs/driver.log": "more"}
    address = keep_bundle(files, STREAM, MOMENT, SETTINGS, opened)
    assert address == f"s3a://fink/diagnosis/{STREAM}/20250101T200102Z"
    folder = tmp_path / f"fink/diagnosis/{STREAM}/20250101T200102Z"
    assert (folder / "report.md").read_text() == "words"
    settings = at_folder(tmp_path / "a/new/folder")
    address = keep_bundle(files, STREAM, MOMENT, settings, out_of_sight)
    assert address == f"{tmp_path}/a/new/folder/{STREAM}/20250101T200102Z"
    assert (tmp_path / address / "logs/driver.log").read_text() == "more"


@pytest.mark.parametrize("keep", [
    lambda settings: keep_bundle({"report.md": ""}, STREAM, MOMENT, settings, out_of_sight),
    lambda settings: keep_report(facts_of(), settings, out_of_sight),
])  # fmt: skip
def test_a_folder_that_takes_nothing_names_its_setting(tmp_path, keep):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="FINK_DIAGNOSIS_DIR"):
        keep(at_folder(tmp_path / "file"))


def test_a_report_lies_beside_its_alerts_and_can_be_read_back(opened, tmp_path):
    facts = facts_of(STREAM)
    # A folder that is configured for bundles is for them; reports go where the alerts are.
    settings = at_folder(tmp_path / "bundles")
    assert keep_report(facts, settings, opened) == f"s3a://fink/reports/{STREAM}"
    names = {path.name for path in (tmp_path / f"fink/reports/{STREAM}").iterdir()}
    assert names == {"report.md", "night.svg", "facts.json"}
    assert kept_report(STREAM, settings, opened) == facts
    assert not (tmp_path / "bundles").exists()


def test_writing_a_report_again_replaces_it(opened):
    keep_report(facts_of(STREAM), SETTINGS, opened)
    later = facts_of(STREAM, stop="was RUNNING, ended gracefully")
    keep_report(later, SETTINGS, opened)
    assert kept_report(STREAM, SETTINGS, opened) == later


def test_where_the_store_is_out_of_sight_a_folder_serves(tmp_path):
    settings = at_folder(tmp_path / "kept")
    facts = facts_of(STREAM)
    assert keep_report(facts, settings, out_of_sight) == f"{tmp_path}/kept/reports/{STREAM}"
    assert kept_report(STREAM, settings, out_of_sight) == facts
    assert kept_streams(settings, out_of_sight) == [STREAM]


@pytest.mark.parametrize("look", [
    lambda: keep_report(facts_of(), SETTINGS, out_of_sight),
    lambda: kept_report(STREAM, SETTINGS, out_of_sight),
    lambda: kept_streams(SETTINGS, out_of_sight),
])  # fmt: skip
def test_without_store_and_folder_it_says_what_to_set(look):
    with pytest.raises(OutOfSight, match="FINK_STORE_MOUNT"):
        look()


def test_a_night_without_report_has_none(opened):
    assert kept_report(STREAM, SETTINGS, opened) is None
    assert kept_streams(SETTINGS, opened) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"stream": "' + "x" * (1 << 20)])
def test_what_is_no_report_is_told(opened, tmp_path, text):
    path = tmp_path / f"fink/reports/{STREAM}/facts.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InvalidRequest, match="no facts of a night"):
        kept_report(STREAM, SETTINGS, opened)


def test_a_name_that_leads_elsewhere_is_refused(opened):
    with pytest.raises(InvalidRequest):
        kept_report("../raw/20260101", SETTINGS, opened)


def test_nights_come_with_the_latest_first_and_without_what_is_none(opened, tmp_path):
    for name in ("stream2raw-ztf-20260101", "stream2raw-lsst-20260103", "notes",
                 "stream2raw-ztf-20251231"):  # fmt: skip
        (tmp_path / "fink/reports" / name).mkdir(parents=True)
    (tmp_path / "fink/reports/stream2raw-ztf-20260109").write_text("a file")
    assert kept_streams(SETTINGS, opened) == [
        "stream2raw-lsst-20260103", "stream2raw-ztf-20260101", "stream2raw-ztf-20251231",
    ]  # fmt: skip


def test_the_facts_file_says_what_a_program_wants_to_know(opened, tmp_path):
    keep_report(facts_of(STREAM), SETTINGS, opened)
    told = json.loads((tmp_path / f"fink/reports/{STREAM}/facts.json").read_text())
    assert told["verified"] is True
    assert told["sentence"].startswith("ztf night 20260101: 1,234 alerts read")
