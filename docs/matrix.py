"""The compatibility matrix for people: `make matrix`, and the page docs/compatibility.md."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Release, Releases, releases_from

MATRIX = Path(__file__).resolve().parents[1] / "include/releases.yaml"
_INTRO = """\
# Which Fink runs on which Spark and Kubernetes

Enter the name of a row, `<fink>_<spark>`, as `release` in a trigger form. If you leave the field
empty, the first row is used. Preflight reads the version from the cluster's API server. If that
version is refused, the run ends with the reason before anything is created. The rows are data:
[include/releases.yaml](../include/releases.yaml). `make matrix KUBERNETES=1.30` prints the verdicts
on one version, and `make demo RELEASE=2.4_3.1.3` runs one row.
"""
_SECURITY = """\
## Known vulnerabilities

Preflight warns about these, and runs the release if you ask for it.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Print the matrix, or the verdict on each release for one version of Kubernetes."""
    parser = argparse.ArgumentParser(prog="python -m docs.matrix", description=__doc__)
    parser.add_argument("--kubernetes", default="", help="a version, e.g. 1.34")
    version = parser.parse_args(words).kubernetes
    releases = releases_from(MATRIX.read_text())
    try:
        lines = verdicts(releases, version) if version else table(releases)
    except InvalidRequest as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def verdicts(releases: Releases, version: str) -> list[str]:
    """Return one line for each release: its name, the verdict, the sentence."""
    lines = []
    for release in releases.releases:
        verdict, sentence = release.check_kubernetes(version)
        lines.append(f"{release.tag:12} {verdict:9} {sentence}")
    return lines


def page(releases: Releases) -> str:
    """Return the page: the matrix, the known vulnerabilities, and a note on each row."""
    parts = [_INTRO, *table(releases), "", _SECURITY]
    parts += [f"- {fault}." for row in releases.releases if (fault := row.check_security())]
    for row in releases.releases:
        image = f" Published image: `{row.published_image}`." if row.published_image else ""
        parts += ["", f"## {row.tag}\n", f"{row.note}{image}"]
    return "\n".join(parts) + "\n"


def table(releases: Releases) -> list[str]:
    """Return the matrix as a Markdown table, padded to be readable in a terminal."""
    columns = ("release", "Fink", "Spark", "Scala", "Java", "Python", "Kubernetes", "why")
    rows = [columns, *(cells for row in releases.releases for cells in _rows_of(row))]
    widths = [max(len(row[n]) for row in rows) for n in range(len(columns) - 1)]
    lines = [_line(row, widths) for row in rows]
    return [lines[0], "|" + "---|" * len(columns), *lines[1:]]


def _rows_of(release: Release) -> list[tuple[str, ...]]:
    about = (release.tag, release.fink, release.spark, release.scala, str(release.java))
    first = (*about, release.python)
    return [
        (*(first if n == 0 else [""] * 6), f"{support.versions}: {support.verdict}", support.reason)
        for n, support in enumerate(release.kubernetes)
    ]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
