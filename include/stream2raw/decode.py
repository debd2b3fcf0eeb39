"""From Kafka messages to alerts, in the JVM: no row passes through Python."""

from typing import Any

from pyspark.sql import functions as F  # noqa: N812 - the name that Spark's own documents use
from pyspark.sql.avro.functions import from_avro

from stream2raw.surveys import SurveyReader

LARGEST_FETCH = str(32 << 20)


def register(spark: Any) -> None:
    """Register the container decoder with Spark (`java/fink/ContainerDatum.java`)."""
    spark.udf.registerJavaFunction("datum_of", "fink.ContainerDatum", "binary")


def decoded(messages: Any, schema: str, reader: SurveyReader) -> Any:
    """Return `messages` with the columns `alert` (struct) and `is_good` (never null).

    `messages` is a frame of Kafka's source: value, topic, partition, offset, timestamp.
    """
    # As SQL, with the schema in a column: Python has call_udf only from Spark 3.4.
    datum = F.expr(reader.datum_of())
    return (
        messages.withColumn("reader_schema", F.lit(schema))
        .select(
            from_avro(datum, schema, {"mode": "PERMISSIVE"}).alias("alert"),
            "value",
            "topic",
            "partition",
            "offset",
            "timestamp",
        )
        .withColumn("is_good", F.coalesce(reader.plausible(), F.lit(False)))
    )


def counted(frame: Any, name: str) -> Any:
    """Count each batch's messages and bad ones, as the observation `name`.

    The observation also keeps the optimizer from moving the filter below the decoder, which would
    decode each alert twice.
    """
    messages = F.count(F.lit(1)).alias("messages")
    bad = F.sum(F.when(F.col("is_good"), 0).otherwise(1)).alias("bad")
    if hasattr(frame, "observe"):
        return frame.observe(name, messages, bad)
    # The JVM has it from Spark 3.0, Python from 3.3.
    return type(frame)(
        frame._jdf.observe(name, messages._jc, frame._jseq([bad._jc])), frame.sql_ctx
    )


def stored(frame: Any) -> Any:
    """Return the good rows as they are stored: the alert's fields, then where it came from."""
    return frame.where("is_good").select(
        "alert.*",
        F.current_timestamp().alias("brokerIngestTimestamp"),
        F.col("topic").alias("kafka_topic"),
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
        F.col("timestamp").alias("kafka_timestamp"),
    )


def set_aside(frame: Any, reader: SurveyReader) -> Any:
    """Return the bad rows as they are stored: the original bytes, and the reason."""
    error = (
        F.when(F.col("value").isNull(), "tombstone: a message without value")
        .when(F.col(f"alert.{reader.KEY}").isNull(), "not one whole alert of the schema")
        .otherwise(reader.IMPLAUSIBLE)
    )
    return frame.where(~F.col("is_good")).select(
        F.col("topic").alias("kafka_topic"),
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
        F.col("timestamp").alias("kafka_timestamp"),
        error.alias("error"),
        "value",
    )
