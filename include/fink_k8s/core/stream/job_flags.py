"""The job's flags, read back from the command line of an existing stream."""

from collections.abc import Mapping, Sequence
from itertools import pairwise


def flags_in(words: Sequence[str]) -> dict[str, str]:
    """Return the value of each flag of a command line, by the flag with its dash."""
    return {
        flag: value for flag, value in pairwise(words) if flag.startswith("-") and len(flag) > 1
    }


def prefix_in(flags: Mapping[str, str]) -> str:
    """Return where a stream with these flags writes, in FINK_STORE_PREFIX's form, or nothing."""
    return flags.get("-online_data_prefix") or flags.get("-rawdatapath", "").rpartition("/raw/")[0]
