"""Command line of the testbed: `up | down | status | logs PART | env | release TAG`."""

import argparse
import sys
import time
from collections.abc import Callable

from testbed import bed
from testbed.places import RELEASES
from testbed.process import TestbedError


def main() -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "bring up what is not up"),
        ("down", "stop everything and leave nothing behind"),
        ("status", "show each part"),
        ("env", "print the variables that point at the testbed"),
    ):
        commands.add_parser(name, help=text)
    commands.add_parser("logs", help="print a part's log").add_argument("part")
    release = commands.add_parser("release", help="bring what a release of the matrix needs")
    release.add_argument("tag", help="<fink>_<spark>, e.g. 2.4_3.1.3")
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {line}", flush=True)

    match arguments.command:
        case "up":
            bed.up(say)
        case "down":
            bed.down(say)
        case "status":
            states = bed.status()
            for part, state in states.items():
                print(f"{part:24} {state}")
            return 0 if all(state.startswith("up") for state in states.values()) else 1
        case "release":
            _prepare(arguments.tag, say)
        case "env":
            for key, value in bed.environment().items():
                print(f"{key}={value}")
        case "logs":
            print(bed.log_of(arguments.part).read_text(errors="replace"), end="")
    return 0


def _prepare(tag: str, say: Callable[[str], None]) -> None:
    # The testbed starts without the project on its path; only the matrix comes from the project.
    from fink_k8s.core.base.errors import InvalidRequest
    from fink_k8s.core.config.releases import releases_from

    try:
        release = releases_from(RELEASES.read_text()).get(tag)
    except InvalidRequest as error:
        raise TestbedError(str(error)) from error
    bed.prepare(release, say)


if __name__ == "__main__":
    sys.exit(main())
