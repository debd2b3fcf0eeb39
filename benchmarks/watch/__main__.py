"""Compare this project's shared watch with the Kubernetes provider's: cost and time to detection.

Run it with `make bench-watch`, on the testbed. It is compared with SparkKubernetesOperator of the
provider cncf-kubernetes, and the KubernetesPodTrigger that it defers to.

    python -m benchmarks.watch load --applications 10,100 --runs 3 --window 30
    python -m benchmarks.watch detect --runs 3
    python -m benchmarks.watch         both

**load**: processor time, memory and API requests of one process that watches N running streams on a
real API server. Each side runs in its own process, with its triggers as plain asyncio tasks of one
loop, as in the triggerer. Applications and driver pods are real objects, but the benchmark sets
their state to Running instead of a kubelet. It also serves the drivers' metrics, through the API
server's proxy, and their logs, one line every 10 s. This project reads the metrics every 5 s and
follows the logs; the provider does neither. Requests are counted when the client sends them
(aiohttp on both sides); a watch counts as one. If a trigger stops watching, there are no figures.
`rss_growth_mb` is the memory used by watching; the rest of the memory is used by imports.

**detect**: the seconds from a driver's death until Airflow knows of it, with a real Airflow and a
real stream that nobody restarts. The driver's pod is deleted by force. The time starts when that
call returns, and ends when the event is in Airflow's database: the task leaves `deferred` because
its trigger's event is stored or, if it blocks a worker, leaves `running`. The database is read
every 50 ms.

The last line is JSON: medians of the runs; for load, those of the largest N.
"""

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.watch import detect, load


def main() -> int:
    """Run the requested parts and print the figures."""
    given = _arguments()
    figures: dict[str, Any] = {}
    if given.part != "load":
        seconds = detect.measure(given.runs)
        show_detect(seconds)
        figures["detect_s"] = seconds.pop("ours")
        figures |= {f"{side}_s": value for side, value in seconds.items()}
    if given.part != "detect":
        sizes = [int(size) for size in given.applications.split(",")]
        found = load.measure(sizes, given.runs, given.window, given.warm_up)
        show_load(found)
        figures |= {name: found[max(sizes)][name] for name in load.FIGURES}
    print(json.dumps(figures))
    return 0


def show_detect(seconds: dict[str, float]) -> None:
    """Print the seconds of all three in one table."""
    table = Table("known by", "seconds", "/ ours")
    for side, value in seconds.items():
        table.add_row(side, f"{value:.2f}", f"{value / seconds['ours']:.1f}")
    Console().print(table)


def show_load(found: dict[int, load.Figures]) -> None:
    """Print both sides in one table."""
    table = Table("applications", "figure", "ours", "provider", "provider / ours")
    for size, figures in found.items():
        for name, row in figures.items():
            table.add_row(str(size), name, f"{row['ours']:g}", f"{row['provider']:g}", ratio(row))
    Console().print(table)


def ratio(row: dict[str, Any]) -> str:
    """Return how many times as much the provider needs."""
    return f"{row['provider'] / row['ours']:.1f}" if row["ours"] else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watch")
    parser.add_argument("part", nargs="?", choices=("load", "detect", "all"), default="all")
    parser.add_argument("--applications", default="10,100", help="e.g. 10,100,1000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--window", type=float, default=30, help="seconds measured")
    parser.add_argument("--warm-up", type=float, default=30, help="seconds before")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
