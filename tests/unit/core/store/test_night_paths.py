from datetime import date

import pytest
from hypothesis import strategies as st

from fink_k8s.core.store import night_paths

TODAY = date(2026, 3, 1)
TOPIC = st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True).filter(
    lambda t: t not in {".", ".."}
)


@pytest.mark.shows("docs/from-the-command-line.md#paths")
@pytest.mark.parametrize("prefix", ["s3a://fink", "s3a://fink/"])
def test_a_night_is_one_folder_in_each_part_of_the_store(prefix):
    assert night_paths.raw_path(prefix, "20260101") == "s3a://fink/raw/20260101"
    assert night_paths.checkpoint_path(prefix, "20260101") == "s3a://fink/raw_checkpoint/20260101"
    assert night_paths.quarantine_path(prefix, "20260101") == "s3a://fink/raw_quarantine/20260101"
