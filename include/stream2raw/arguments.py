"""Fink's command line of `stream2raw`, checked before anything starts."""

import argparse
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, List, NoReturn

from stream2raw.surveys import producers

BAD_ARGUMENTS = 2

_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*:[0-9]{1,5}")


class BadArgument(ValueError):
    """A flag's value breaks a rule: the message names the flag, the rule and the remedy."""


@dataclass(frozen=True)
class Arguments:
    """The settings of one night's ingestion. Times are in seconds."""

    servers: str
    topic: str
    schema: Path
    starting_offsets: str
    output: str
    checkpoint: str
    quarantine: str
    producer: str
    trigger_interval: int
    max_offsets_per_trigger: int
    exit_after: int
    fail_on_data_loss: bool
    log_level: str
    spark_log_level: str
    by_day: bool


def parse(words: List[str]) -> Arguments:
    """Return the checked arguments of either generation of Fink's flags.

    Paths come from `-online_data_prefix` and `-night` (today), or from `-rawdatapath` and
    `-checkpointpath_raw` (Fink 2.4, which partitions by year, month and day).

    Raises:
        BadArgument: a flag is unknown, missing, or its value breaks a rule.
    """
    given = _parser().parse_args(words)
    output, checkpoint, quarantine = _paths(given)
    _check(
        all(_SERVER.fullmatch(one) for one in given.servers.split(",")),
        "-servers",
        given.servers,
        "host:port, separated by commas, e.g. kafka:9092",
    )
    _check(0 < len(given.topic) <= 500, "-topic", given.topic, "a topic or a pattern of topics")
    _check(
        _is_offsets(given.startingoffsets_stream),
        "-startingoffsets_stream",
        given.startingoffsets_stream,
        "earliest, latest, or JSON with an offset per partition",
    )
    _check(
        given.producer in producers(),
        "-producer",
        given.producer,
        f"a survey that this job can read: {', '.join(producers())}",
    )
    for flag in ("tinterval", "max_offsets_per_trigger", "exit_after"):
        _check(getattr(given, flag) > 0, "-" + flag, getattr(given, flag), "a number above 0")
    return Arguments(
        servers=given.servers,
        topic=given.topic,
        schema=_schema(given),
        starting_offsets=given.startingoffsets_stream,
        output=output,
        checkpoint=checkpoint,
        quarantine=quarantine,
        producer=given.producer,
        trigger_interval=given.tinterval,
        max_offsets_per_trigger=given.max_offsets_per_trigger,
        exit_after=given.exit_after,
        fail_on_data_loss=given.fail_on_data_loss == "true",
        log_level=given.log_level,
        spark_log_level=given.spark_log_level,
        by_day=bool(given.rawdatapath),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadArgument(message + "; see -h")

    def _get_option_tuples(self, option_string: str) -> "list[Any]":
        """Accept no shortened flags; `allow_abbrev` ignores flags with one dash."""
        return []


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stream2raw.py", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("-servers", required=True, help="Kafka brokers, host:port[,host:port]")
    add("-topic", required=True, help="topic, or a pattern of topics")
    add("-schema", required=True, help="Avro schema (.avsc) of the alerts")
    add("-startingoffsets_stream", default="earliest", help="offsets where a new night starts")
    add("-online_data_prefix", default="", help="data is written to PREFIX/raw/NIGHT")
    add("-night", default="", help="YYYYMMDD")
    add("-rawdatapath", default="", help="Fink 2.4: where data is written")
    add("-checkpointpath_raw", default="", help="Fink 2.4: where the checkpoint is written")
    add("-producer", default="ztf", help="survey, which determines how alerts are read")
    add("-tinterval", type=int, default=5, help="interval between batches, in seconds")
    add("-max_offsets_per_trigger", type=int, default=5000, help="maximum alerts per batch")
    add("-exit_after", type=int, default=64800, help="run time limit, in seconds")
    add(
        "-fail_on_data_loss",
        choices=("true", "false"),
        default="true",
        help="fail if Kafka has deleted alerts before they were read",
    )
    add("-log_level", default="INFO", help="level of the job's own log")
    add("-spark_log_level", default="WARN", help="level of Spark's log")
    return parser


def _paths(given: argparse.Namespace) -> "tuple[str, str, str]":
    if given.rawdatapath or given.checkpointpath_raw:
        _check(
            bool(given.rawdatapath and given.checkpointpath_raw),
            "-checkpointpath_raw",
            given.checkpointpath_raw,
            "both -rawdatapath and -checkpointpath_raw: they are one pair",
        )
        output = given.rawdatapath.rstrip("/")
        return output, given.checkpointpath_raw.rstrip("/"), output + "_quarantine"
    _check(
        bool(given.online_data_prefix),
        "-online_data_prefix",
        "",
        "where to write data, e.g. s3a://fink",
    )
    _check(_is_night(given.night), "-night", given.night, "a real date as YYYYMMDD")
    prefix = given.online_data_prefix.rstrip("/")
    return (
        f"{prefix}/raw/{given.night}",
        f"{prefix}/raw_checkpoint/{given.night}",
        f"{prefix}/raw_quarantine/{given.night}",
    )


def _schema(given: argparse.Namespace) -> Path:
    path = Path(given.schema)
    _check(path.is_file(), "-schema", path, "a file that can be read")
    return path


def _is_night(text: str) -> bool:
    try:
        return bool(re.fullmatch("[0-9]{8}", text)) and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False


def _is_offsets(text: str) -> bool:
    if text in ("earliest", "latest"):
        return True
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _check(holds: bool, flag: str, value: object, rule: str) -> None:
    if not holds:
        raise BadArgument(f"{flag} {ascii(str(value))[:80]} is refused; give {rule}")
