"""Where a night's data lie below the store's prefix."""

RAW, CHECKPOINT, QUARANTINE = NIGHT_FOLDERS = ("raw", "raw_checkpoint", "raw_quarantine")


def raw_path(prefix: str, night: str) -> str:
    """Return where `night`'s alerts are stored."""
    return f"{prefix.rstrip('/')}/{RAW}/{night}"


def checkpoint_path(prefix: str, night: str) -> str:
    """Return where `night`'s offsets and commits are kept; it is one pair with `raw_path`."""
    return f"{prefix.rstrip('/')}/{CHECKPOINT}/{night}"


def quarantine_path(prefix: str, night: str) -> str:
    """Return where messages of `night` that could not be decoded are set aside."""
    return f"{prefix.rstrip('/')}/{QUARANTINE}/{night}"
