"""A job as Fink's is today: it starts its query, sleeps, and never looks at it again."""

import time

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.conf.set("spark.sql.streaming.metricsEnabled", "true")
query = spark.readStream.format("rate").load().writeStream.format("noop").start()
time.sleep(20)
query.stop()
print("the query has ended, the driver goes on", flush=True)
time.sleep(3600)
