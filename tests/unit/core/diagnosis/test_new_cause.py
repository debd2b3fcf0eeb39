"""How to add a cause, by a worked example in a copy of the project: what to touch, and no more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
ROOM, TESTS = "include/fink_k8s/core/diagnosis", "tests/unit/core/diagnosis"
PAGE = "docs/troubleshooting.md"
COPIED = (
    "include/fink_k8s/core",
    "docs/remedies.py",
    PAGE,
    "tests/recording.py",
    f"{TESTS}/evidence",
    f"{TESTS}/test_catalogue.py",
    f"{TESTS}/test_recorded.py",
    "tests/docs/test_troubleshooting.py",
)
MAKE_DOCS = """
from docs.remedies import PAGE, with_remedies
PAGE.write_text(with_remedies(PAGE.read_text()))
"""
IT_ARRIVES = """
from fink_k8s.core.health.health_line import stream_line
from tests.recording import recorded


def test_the_line_of_fink_health_has_the_level_and_the_words_of_the_entry():
    line = stream_line("s", recorded("disk-full"))
    assert (line.level, line.category) == ("stalled", "disk-full")
    assert "[disk-full] the disk of " in line.text
    assert line.text.endswith(". Clear the node's disk")
"""

CATEGORY = '    DISK_FULL = "disk-full"\n'
ENTRY = """    Category.DISK_FULL: Entry(
        "the disk of {pod} is full", "Clear the node's disk", level=HealthLevel.STALLED
    ),
"""
SECTION = """
## disk-full

- **Symptom:** the driver ends.
- **Why:** its node has no space left.
- **Remedy:**
- **Command:** `df`
"""
ENTRY_OF_WORDS = ENTRY.replace("{pod}", "the driver's node")
ROW = '    _Message(Category.DISK_FULL, ("No space left on device",)),\n'
CHECK = '''

def check_evicted(evidence: Evidence) -> Diagnosis | None:
    """Name a pod that was evicted because its node's disk is full."""
    for pod in evidence.pods:
        status = pod["status"]
        if status.get("reason") == "Evicted":
            return diagnosis_of(
                Category.DISK_FULL, str(status.get("message")), pod=pod["metadata"]["name"]
            )
    return None
'''


def insert(path: Path, after: str, new: str) -> None:
    text = path.read_text()
    assert text.count(after) == 1, after
    path.write_text(text.replace(after, after + new))


def add_entry(root: Path, entry: str) -> None:
    path = root / ROOM / "catalogue.py"
    insert(path, '    CORRUPT_ALERTS = "corrupt-alerts"\n', CATEGORY)
    path.write_text(path.read_text().removesuffix("}\n") + entry + "}\n")


def add_section(root: Path) -> None:
    page = root / PAGE
    page.write_text(page.read_text() + SECTION)


def add_evidence(root: Path, base: str, **changes) -> None:
    """Stand in for RECORD_EVIDENCE=1 and a test on the testbed, which write such a file."""
    seen = json.loads((root / TESTS / f"evidence/{base}.json").read_text())
    (root / TESTS / "evidence/disk-full.json").write_text(json.dumps(seen | changes))


def by_words(root: Path) -> None:
    """Add a cause that a program names: a row of the table is its check."""
    add_entry(root, ENTRY_OF_WORDS)
    insert(root / ROOM / "messages.py", "_MESSAGES = (\n", ROW)
    add_section(root)
    add_evidence(root, "driver-failed", driver_log="IOException: No space left on device")


def by_pods(root: Path) -> None:
    """Add a cause that takes code to see: a function, and its place in the order."""
    add_entry(root, ENTRY)
    path = root / ROOM / "pod_checks.py"
    path.write_text(path.read_text() + CHECK)
    before = "    pod_checks.check_waiting,\n"
    insert(root / ROOM / "checks.py", before, "    pod_checks.check_evicted,\n")
    add_section(root)
    status = {"phase": "Failed", "reason": "Evicted", "message": "low on ephemeral-storage"}
    pod = {"metadata": {"name": "driver"}, "status": status, "spec": {"containers": [{}]}}
    add_evidence(root, "image-pull", pods=[pod])


@pytest.fixture
def copy(tmp_path):
    for name in COPIED:
        there = ROOT / name
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        put = shutil.copytree if there.is_dir() else shutil.copy
        put(there, tmp_path / name)
    return tmp_path


def files_in(root: Path) -> dict[str, str]:
    paths = [path for path in root.rglob("*") if path.suffix in {".py", ".md", ".json", ".toml"}]
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def checked(root: Path) -> str:
    """Run `make docs` and the tests of the copy; return what they said, empty where all is well."""
    (root / "tests/test_it_arrives.py").write_text(IT_ARRIVES)
    path = f"{root / 'include'}{os.pathsep}{root}"
    surroundings = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for words in (["-c", MAKE_DOCS], ["-m", "pytest", "-q", "--import-mode=importlib", "tests"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=root, env=surroundings, capture_output=True, text=True
        )
        if done.returncode:
            return done.stdout + done.stderr
    return ""


@pytest.mark.shows("CONTRIBUTING.md#add-a-diagnosis")
@pytest.mark.parametrize(
    ("add", "check"),
    [(by_words, ["messages.py"]), (by_pods, ["checks.py", "pod_checks.py"])],
)
def test_a_new_cause_is_entry_check_evidence_and_section(copy, add, check):
    before = files_in(copy)
    add(copy)
    after = files_in(copy)
    touched = sorted(name for name in after if after[name] != before.get(name))
    rooms = [f"{ROOM}/{name}" for name in ("catalogue.py", *check)]
    assert touched == sorted([PAGE, *rooms, f"{TESTS}/evidence/disk-full.json"])
    assert checked(copy) == ""


def test_a_cause_without_check_and_section_is_missed(copy):
    add_entry(copy, ENTRY_OF_WORDS)
    add_evidence(copy, "driver-failed", driver_log="IOException: No space left on device")
    said = checked(copy)
    assert "test_recorded.py::test_a_real_fault_is_named[disk-full]" in said
    assert "test_troubleshooting.py::test_every_category_has_its_section_with_all_that" in said
