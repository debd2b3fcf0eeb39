"""A job as Fink's is today: it starts its query, sleeps, and never looks at it again.

It takes Fink's flags and no other, and cannot do without a schema and a level of its log.
"""

import argparse
import logging
import time
from pathlib import Path

from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
for flag in (
    "-servers",
    "-topic",
    "-schema",
    "-startingoffsets_stream",
    "-online_data_prefix",
    "-night",
    "-producer",
    "-log_level",
    "-spark_log_level",
):
    parser.add_argument(flag, default="")
for flag in ("-tinterval", "-max_offsets_per_trigger", "-exit_after"):
    parser.add_argument(flag, type=int, default=0)
arguments = parser.parse_args()
logging.getLogger().setLevel(arguments.log_level)
Path(arguments.schema).read_text()

spark = SparkSession.builder.getOrCreate()
spark.conf.set("spark.sql.streaming.metricsEnabled", "true")
query = spark.readStream.format("rate").load().writeStream.format("noop").start()
time.sleep(20)
query.stop()
print("the query has ended, the driver goes on", flush=True)
time.sleep(3600)
