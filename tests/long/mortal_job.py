"""This project's job, forgetful as Fink's is: its query can die, and its driver goes on."""

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, "/opt/fink")

from stream2raw import job

WORD = Path("/tmp/end-the-query")


def follow(query, quarantine, stop, deadline):
    """Follow the query, which ends once `WORD` is there; then go on as if nothing were."""

    def listen():
        while not WORD.exists():
            time.sleep(0.1)
        query.stop()

    threading.Thread(target=listen, daemon=True).start()
    follow_well(query, quarantine, stop, deadline)
    if WORD.exists():
        print("the query has ended, the driver goes on", flush=True)
        stop.wait(3600)


follow_well, job.follow = job.follow, follow
sys.exit(job.main(sys.argv[1:]))
