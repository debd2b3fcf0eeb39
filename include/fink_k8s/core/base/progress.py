"""How long work tells what it does."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line for people, e.g. `print` in a task, whose output is its log."""
