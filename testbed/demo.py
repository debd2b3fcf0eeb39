"""Demonstrate a deployment: `python -m testbed.demo`, or `make demo`.

Starts the testbed and an Airflow, sends alerts, triggers `fink_deploy` through Airflow's API,
follows the run, and counts. The exit code is 0 only if each valid alert that was sent is stored and
each damaged one is set aside.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from confluent_kafka import Consumer, KafkaException, TopicPartition
from rich.console import Console
from rich.table import Table
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import releases_from
from testbed import bed, pins
from testbed.airflow import Airflow, AirflowClient, AirflowDownError, RefusedFormError
from testbed.alerts.__main__ import make_topic
from testbed.alerts.packets import SYNC
from testbed.places import KUBECONFIG, RELEASES, ROOT
from testbed.process import TestbedError

DAG = "fink_deploy"
GROUP = "fink-demo"
CORRUPT_SHARE = 100
RUN_SECONDS, CATCH_UP_SECONDS = 1200.0, 180.0


@dataclass
class Report:
    """The results of the demo, in the order of the table."""

    stages: dict[str, tuple[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    is_complete: bool = False


def main() -> int:
    """Run the demo, or stop what it left running; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m testbed.demo", description=__doc__)
    parser.add_argument("--down", action="store_true", help="stop Airflow")
    parser.add_argument("--count", type=int, default=5000, help="alerts to send")
    parser.add_argument("--rate", type=float, default=50, help="alerts per second")
    parser.add_argument(
        "--release", default="", help="<fink>_<spark>; default: the current release"
    )
    given = parser.parse_args()
    console = Console()
    if given.down:
        Airflow(ROOT / ".airflow").stop()
        return 0
    hint_at_own_cluster(console)
    try:
        report = demonstrate(console, given.count, given.rate, given.release)
    except (
        InvalidRequest,
        TestbedError,
        AirflowDownError,
        RefusedFormError,
        httpx.HTTPError,
    ) as error:
        console.print(f"demo: {error}", style="red", highlight=False)
        return 1
    show(console, report)
    return 0 if report.is_complete else 1


def hint_at_own_cluster(console: Console) -> None:
    """Explain how to use the user's own cluster, if there seems to be one."""
    own = os.environ.get("KUBECONFIG")
    if own and own != str(KUBECONFIG):
        console.print(
            f"KUBECONFIG is {own}; the demo starts another cluster and does not touch this one. "
            "To use your cluster, see 'Run it on your own cluster' in README.md.",
            highlight=False,
        )


def demonstrate(console: Console, count: int, rate: float, tag: str = "") -> Report:
    """Run every step and return the report, also of a run that failed."""
    begun = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - begun:6.1f} s] {line}", markup=False, highlight=False)

    matrix = releases_from(RELEASES.read_text())
    release = matrix.get(tag)
    bed.up(say)
    bed.prepare(release, say)
    airflow = Airflow(ROOT / ".airflow", environment=bed.environment())
    say("airflow: starting its four components")
    airflow.start()
    say(f"airflow: up at {airflow.url}")
    # A different night for each release, so that no release continues from the output of another.
    night = f"{datetime.now(UTC) - timedelta(days=matrix.releases.index(release)):%Y%m%d}"
    topic = f"ztf_public_{night}"
    servers = bed.environment()["FINK_KAFKA_SERVERS"]
    make_topic(servers, topic, partitions=4)
    with alerts_flowing(topic, count, rate, seed=messages_in(servers, topic) + 1) as producer:
        say(f"alerts: sending {count} to topic {topic}, {rate:.0f} per second")
        report = follow_deploy(AirflowClient(airflow), night, release.tag, say)
        if report.facts.pop("state") == "success":
            count_alerts(report, night, servers, topic, producer, say)
    report.facts["release"] = f"Fink {release.fink}, Spark {release.spark}"
    report.facts["Airflow"] = f"{airflow.url} (user admin, password {airflow.password})"
    report.facts["raw store"] = f"{bed.environment()['FINK_STORE_PREFIX']}/raw/{night}"
    report.facts["time"] = f"{time.monotonic() - begun:.0f} s"
    return report


@contextmanager
def alerts_flowing(
    topic: str, count: int, rate: float, seed: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Send alerts in the background; stop at the latest when the block ends."""
    command = [sys.executable, "-m", "testbed.alerts", "--topic", topic, "--seed", str(seed)]
    command += ["--count", str(count), "--rate", str(rate), "--visit", "25"]
    command += ["--corrupt", str(count // CORRUPT_SHARE)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def follow_deploy(client: AirflowClient, night: str, release: str, say: Any) -> Report:
    """Trigger the DAG and follow it task by task."""
    report = Report()
    client.wait_for_dag(DAG)
    run = client.trigger(DAG, {"night": night, "release": release})
    say(f"{DAG}: triggered, run {run}")
    for task in client.follow(DAG, run, RUN_SECONDS):
        if task["state"] in (None, "scheduled", "queued"):
            continue
        seconds = task["duration"] or 0.0
        say(f"{DAG}: {task['task_id']} {task['state']} {f'{seconds:.1f} s' if seconds else ''}")
        report.stages[task["task_id"]] = (task["state"], seconds)
        if task["state"] == "failed":
            say(client.log(DAG, run, task["task_id"], task["try_number"])[-3000:])
    submitted = client.xcom(DAG, run, "submit.submit_application") or {}
    report.facts = {
        "state": client.run_state(DAG, run),
        "image": client.xcom(DAG, run, "image.build_image"),
        "application": f"{submitted.get('application')} ({submitted.get('way')})",
        "driver pod": submitted.get("driver_pod"),
    }
    return report


def count_alerts(
    report: Report,
    night: str,
    servers: str,
    topic: str,
    producer: "subprocess.Popen[bytes]",
    say: Any,
) -> None:
    """Wait until all sent alerts have been read, and compare the counts."""
    from fink_k8s.adapters.store.raw_store import open_store
    from fink_k8s.core.config.settings import Settings

    environment = bed.environment()
    settings = Settings(
        store_prefix=environment["FINK_STORE_PREFIX"],
        store_endpoint=environment["FINK_STORE_ENDPOINT"],
    )
    store = open_store(
        settings,
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while True:
        is_sent = producer.poll() is not None
        produced = messages_in(servers, topic)
        counts = store.counts(night)
        say(f"alerts: {produced} produced, {counts.stored} stored, {counts.set_aside} set aside")
        if is_sent and counts.read == produced and counts.is_complete:
            break
        if time.monotonic() > deadline:
            break
        time.sleep(3)
    sent = sent_to(servers, topic)
    report.is_complete = (
        counts.is_complete and counts.read == sent.produced and counts.set_aside == sent.damaged
    )
    report.facts["batches committed"] = counts.batches
    report.facts["alerts produced"] = f"{sent.produced}, {sent.damaged} of them damaged on purpose"
    report.facts["alerts stored"] = counts.stored
    report.facts["alerts set aside"] = counts.set_aside


@dataclass(frozen=True)
class Sent:
    """What was sent to a topic: the number of messages, and how many of them are damaged."""

    produced: int
    damaged: int


@retry(retry=retry_if_exception_type(KafkaException), wait=wait_fixed(1), stop=stop_after_delay(20))
def messages_in(servers: str, topic: str) -> int:
    """Return the number of messages in the topic; retry while a new topic has no leader."""
    with closing(Consumer({"bootstrap.servers": servers, "group.id": GROUP})) as consumer:
        return sum(_ends_of(consumer, topic).values())


def sent_to(servers: str, topic: str) -> Sent:
    """Read the whole topic, independently of the stream, and check each message.

    An alert is valid if it is an Avro container file whose last sync marker is its first.
    """
    options = {"bootstrap.servers": servers, "group.id": GROUP, "enable.auto.commit": False}
    with closing(Consumer(options)) as consumer:
        ends = _ends_of(consumer, topic)
        consumer.assign([TopicPartition(topic, p, 0) for p, end in ends.items() if end])
        due, whole = sum(ends.values()), 0
        seen = 0
        while seen < due:
            messages = consumer.consume(500, timeout=20)
            if not messages:
                raise TestbedError(
                    f"topic {topic} returned only {seen} of {due} messages within 20 s"
                )
            seen += len(messages)
            whole += sum(_is_whole(message.value()) for message in messages)
    return Sent(seen, seen - whole)


def _ends_of(consumer: Consumer, topic: str) -> dict[int, int]:
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 20)[1] for p in partitions}


def _is_whole(value: bytes | None) -> bool:
    return value is not None and value.startswith(b"Obj\x01") and value.endswith(SYNC)


def show(console: Console, report: Report) -> None:
    """Print the table, and the conclusion in one sentence."""
    table = Table("what", title=f"{DAG} on the testbed, Kubernetes {pins.KUBERNETES}")
    table.add_column("result", overflow="fold")
    for task, (state, seconds) in report.stages.items():
        table.add_row(task, f"{state}, {seconds:.1f} s")
    table.add_section()
    for what, value in report.facts.items():
        table.add_row(what, str(value))
    console.print(table)
    if report.is_complete:
        console.print(
            "Complete: each valid alert is stored, each damaged one is set aside.", style="green"
        )
        console.print("Everything keeps running; run `make down` to stop it.")
    else:
        console.print("NOT complete: see the lines above and docs/troubleshooting.md.", style="red")


if __name__ == "__main__":
    sys.exit(main())
