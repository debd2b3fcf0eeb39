"""The streaming query of one night: start, follow, and end it so that nothing is lost.

Exit codes: 0 ended as requested, 1 the query failed, 2 bad arguments, 3 output and checkpoint are
not one pair.
"""

import json
import signal
import sys
import threading
import time
from typing import Any, List

from stream2raw.arguments import BAD_ARGUMENTS, Arguments, BadArgument, parse
from stream2raw.checkpoint import BrokenPair, check_pair
from stream2raw.surveys import SurveyReader, reader_of

QUERY_FAILED = 1
BROKEN_PAIR = 3
POLL_SECONDS = 0.5
# The name of the batch counts among Spark's observed metrics.
OBSERVED = "stream2raw"
# How long a stop waits for the current batch; the pod's grace period is longer.
LAST_BATCH_SECONDS = 90


def main(words: List[str]) -> int:
    """Run the job and return its exit code."""
    try:
        arguments = parse(words)
    except BadArgument as error:
        say("refused", reason=str(error))
        return BAD_ARGUMENTS
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return run(arguments, stop)
    except BrokenPair as error:
        say("refused", reason=str(error))
        return BROKEN_PAIR
    except Exception as error:
        say("failed", reason=cause_of(error))
        return QUERY_FAILED


def run(arguments: Arguments, stop: threading.Event) -> int:
    """Run the query until a stop signal or the time limit; raise if it fails."""
    from pyspark.sql import SparkSession

    from stream2raw.decode import register
    from stream2raw.files import Files
    from stream2raw.quarantine import Quarantine

    spark = SparkSession.builder.appName("stream2raw").getOrCreate()
    try:
        spark.sparkContext.setLogLevel(arguments.spark_log_level)
        spark.conf.set("spark.sql.streaming.metricsEnabled", "true")
        register(spark)
        files = Files(spark)
        check_pair(files, arguments.output, arguments.checkpoint)
        schema, reader = arguments.schema.read_text(), reader_of(arguments.producer)
        quarantine = Quarantine(spark, files, arguments, schema, reader)
        quarantine.catch_up()
        query = start(spark, arguments, schema, reader)
        say("started", output=arguments.output, checkpoint=arguments.checkpoint)
        try:
            follow(query, quarantine, stop, time.monotonic() + arguments.exit_after)
        finally:
            quarantine.close()
        say("ended", reason="asked to" if stop.is_set() else "time limit reached")
        return 0
    finally:
        spark.stop()


def start(spark: Any, arguments: Arguments, schema: str, reader: SurveyReader) -> Any:
    """Start the query and return it."""
    from pyspark.sql import functions as F  # noqa: N812

    from stream2raw.decode import LARGEST_FETCH, counted, decoded, stored

    messages = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", arguments.servers)
        .option("subscribePattern", arguments.topic)
        .option("startingOffsets", arguments.starting_offsets)
        .option("maxOffsetsPerTrigger", arguments.max_offsets_per_trigger)
        .option("failOnDataLoss", str(arguments.fail_on_data_loss).lower())
        # The default of 1 MB holds 14 alerts.
        .option("kafka.max.partition.fetch.bytes", LARGEST_FETCH)
        .load()
    )
    rows = stored(counted(decoded(messages, schema, reader), OBSERVED))
    columns: List[str] = []
    if arguments.by_day:
        moment = reader.event_time(F.col(reader.TIME))
        days = {"year": F.year(moment), "month": F.month(moment), "day": F.dayofmonth(moment)}
        rows, columns = rows.select("*", *(day.alias(n) for n, day in days.items())), list(days)
    writer = rows.writeStream.format("parquet").outputMode("append").partitionBy(*columns)
    return (
        writer.option("path", arguments.output)
        .option("checkpointLocation", arguments.checkpoint)
        # Dictionaries of images cost time and save nothing.
        .option("parquet.enable.dictionary", "false")
        .option("compression", compression_of(spark.version))
        .trigger(processingTime=f"{arguments.trigger_interval} seconds")
        .start()
    )


def compression_of(spark_version: str) -> str:
    """Return the codec of the parquet files: the best one that needs no native library.

    The parquet library of Spark 3.1 needs Hadoop's native libraries for zstd, which pyspark's
    archive does not have; Spark 3.2 and later include their own.
    """
    major, minor = spark_version.split(".")[:2]
    return "zstd" if (int(major), int(minor)) >= (3, 2) else "snappy"


def follow(query: Any, quarantine: Any, stop: threading.Event, deadline: float) -> None:
    """Check each batch as it is committed, until the end; a failed query raises its error."""
    while not stop.is_set() and time.monotonic() < deadline:
        if query.awaitTermination(POLL_SECONDS):
            return
        report(query, quarantine)
    let_batch_end(query)
    query.stop()
    report(query, quarantine)
    quarantine.catch_up()


def let_batch_end(query: Any) -> None:
    """Wait until no batch is being written, or another one has been committed."""
    last = batch_of(query)
    deadline = time.monotonic() + LAST_BATCH_SECONDS
    while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
        if batch_of(query) != last:
            return
        time.sleep(0.05)


def report(query: Any, quarantine: Any) -> None:
    """Log each new batch, and set its bad messages aside."""
    for progress in query.recentProgress:
        batch = progress["batchId"]
        if batch <= quarantine.checked:
            continue
        # A progress report of this batch means that all earlier ones are committed. One of them
        # may have no counts: then read it once more, to be safe.
        for earlier in range(quarantine.checked + 1, batch):
            quarantine.check(earlier, bad=None)
            say("batch", batch=earlier, counts="not given; read once more")
        observed = (progress.get("observedMetrics") or {}).get(OBSERVED)
        if not observed:
            continue  # an idle check for new offsets has the number of the next batch
        bad = observed["bad"] or 0
        end = progress["sources"][0]["endOffset"]
        quarantine.check(batch, bad)
        say(
            "batch",
            batch=batch,
            messages=observed["messages"],
            bad=bad,
            seconds=progress["durationMs"].get("triggerExecution", 0) / 1000,
            # Spark 4 gives it as text.
            end=json.loads(end) if isinstance(end, str) else end,
        )


def batch_of(query: Any) -> int:
    """Return the number of the last batch that ended, or -1."""
    progress = query.lastProgress
    return progress["batchId"] if progress else -1


def cause_of(error: BaseException) -> str:
    """Return the root cause of a failure, in Python or in the JVM, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    in_java = [line[1:].strip() for line in lines if line.startswith(":")]
    return " ".join((causes[-1:] or in_java[:1] or lines[:1] or [repr(error)])[0].split())[:500]


def say(event: str, **facts: Any) -> None:
    """Write one line of JSON to the log."""
    print(json.dumps({"stream2raw": event, **facts}), file=sys.stdout, flush=True)
