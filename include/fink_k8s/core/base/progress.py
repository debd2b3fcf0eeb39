"""How long-running work reports its progress."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Take one line for people, e.g. `print` in a task, which writes to the task's log."""
