"""`make secrets` makes a `.env` that a team's Airflow starts with: run as a person runs it."""

import re
import shutil
import subprocess

import pytest
from cryptography.fernet import Fernet

from docs.generate import ROOT
from fink_k8s.core.config.settings import ENV_PREFIX, load_settings

PROMISED = re.findall(
    r"\$\{(\w+):\?set it in \.env; `make secrets` makes one",
    (ROOT / "docker-compose.yaml").read_text(),
)


@pytest.fixture
def checkout(tmp_path):
    """A checkout that holds what `make secrets` reads, and no .env."""
    for name in ("Makefile", ".env.example"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make_secrets(checkout):
    """Make them; return what `.env` then says, and the lines that were printed."""
    done = subprocess.run(
        ["make", "--no-print-directory", "secrets"],
        cwd=checkout, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return values_of((checkout / ".env").read_text()), done.stdout.splitlines()


def values_of(text):
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.M))


def test_what_compose_promises_is_made_and_nothing_else(checkout):
    values, said = make_secrets(checkout)
    example = values_of((checkout / ".env.example").read_text())
    made = {name for name, value in values.items() if value != example[name]}
    assert made == set(PROMISED)
    assert {line.partition(":")[0] for line in said if line.endswith(": made")} == made
    assert len({values[name] for name in made}) == len(made) == 6
    for name in made:
        assert re.fullmatch(r"[\w=-]{44,}", values[name], re.ASCII), name
    Fernet(values["AIRFLOW_FERNET_KEY"])


@pytest.mark.shows("docs/from-the-command-line.md#airflow")
def test_every_component_can_read_its_settings_then(checkout, monkeypatch):
    values, _ = make_secrets(checkout)
    for name, value in values.items():
        if name.startswith(ENV_PREFIX):
            monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.store_prefix == "s3a://fink"
    assert settings.store_secret == "fink-store"
    assert settings.image_pull_secret == ""


def test_a_second_time_leaves_all_as_it_is(checkout):
    make_secrets(checkout)
    before = (checkout / ".env").read_bytes()
    _, said = make_secrets(checkout)
    assert (checkout / ".env").read_bytes() == before
    assert not [line for line in said if line.endswith(": made")]


def test_a_value_of_ones_own_stays_and_names_of_secrets_stay_empty(checkout):
    lines = "POSTGRES_PASSWORD=mine\nREDIS_PASSWORD=\nFINK_STORE_SECRET=\nFINK_IMAGE_PULL_SECRET=\n"
    (checkout / ".env").write_text(lines)
    values, _ = make_secrets(checkout)
    assert values.pop("REDIS_PASSWORD")
    assert values == {
        "POSTGRES_PASSWORD": "mine", "FINK_STORE_SECRET": "", "FINK_IMAGE_PULL_SECRET": ""
    }  # fmt: skip


def test_only_its_owner_reads_it(checkout):
    make_secrets(checkout)
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
