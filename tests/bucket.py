"""A raw store of one night, as Spark leaves it, in a folder."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

NIGHT = "20250101"
PREFIX = "s3a://fink/ztf"


class Bucket:
    """A night as Spark leaves it, below a folder that stands for a store."""

    def __init__(self, root, url=PREFIX):
        self.root = root
        self.url = url
        self.times = {}

    def write(self, name, text):
        path = self.root / "fink/ztf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def parquet(self, name, rows):
        path = self.root / "fink/ztf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"candid": list(range(rows))}), path)

    def start(self, offsets):
        text = "\0v1\n" + json.dumps({"alerts": offsets})
        self.write(f"raw_checkpoint/{NIGHT}/sources/0/0", text)

    def batch(self, number, end, rows, at=0):
        """Write all of a committed batch: plan, rows, manifest, commit; `at` is a Unix time."""
        self.times[number] = at
        plan = f'v1\n{{"batchWatermarkMs":0,"conf":{{}}}}\n{json.dumps({"alerts": end})}'
        self.write(f"raw_checkpoint/{NIGHT}/offsets/{number}", plan)
        self.parquet(f"raw/{NIGHT}/part-{number}.parquet", rows)
        self.manifest(str(number), number)
        self.write(f"raw_checkpoint/{NIGHT}/commits/{number}", 'v1\n{"nextBatchWatermarkMs":0}')

    def manifest(self, name, *numbers):
        entries = [
            json.dumps(
                {
                    "path": f"{self.url}/raw/{NIGHT}/part-{n}.parquet",
                    "size": 1,
                    "isDir": False,
                    "modificationTime": int(self.times.get(n, 0) * 1000),
                    "blockReplication": 1,
                    "blockSize": 33554432,
                    "action": "add",
                }
            )
            for n in numbers
        ]
        self.write(f"raw/{NIGHT}/_spark_metadata/{name}", "\n".join(["v1", *entries]))

    def quarantine(self, number, rows):
        self.parquet(f"raw_quarantine/{NIGHT}/batch={number}/part-0.parquet", rows)
        self.write(f"raw_quarantine/{NIGHT}/batch={number}/_SUCCESS", "")
