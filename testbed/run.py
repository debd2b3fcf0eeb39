"""Run a command with the testbed's variables: `python -m testbed.run COMMAND ...`."""

import os
import sys

from testbed import bed


def main() -> None:
    """Replace this process with the command."""
    os.environ.update(bed.environment())
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the user's own command


if __name__ == "__main__":
    main()
