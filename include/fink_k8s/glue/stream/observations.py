"""Look at a stream from the triggerer, again and again, on the watch that all triggers share."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from functools import partial

from fink_k8s.adapters.stream.informer import following
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.glue.base.connections import cluster

# An account that was let in may be refused for a while: its binding or its token is made anew.
REFUSED_SECONDS = 300

log = logging.getLogger(__name__)


async def observations(
    conn_id: str, namespace: str, stream: str, poll_seconds: float, *, was_let_in: bool = False
) -> AsyncGenerator[Evidence]:
    """Yield what is known of a stream: now, on each change, and at least every `poll_seconds`.

    While the API server is away nothing is yielded; the log says why, once for each reason. Put
    it into `contextlib.aclosing`: who breaks off would otherwise leave the watch running.

    `was_let_in` says that an earlier look, of another task or trigger, had all its rights.

    Raises:
        FinkError: looking again cannot help, e.g. a right is missing; of one that was there, when
            it has been missing for `REFUSED_SECONDS`.
    """
    clock, said = asyncio.get_running_loop().time, ""
    refused_at = math.inf
    async with following(conn_id, partial(cluster, conn_id), namespace, stream) as follower:
        while True:
            try:
                evidence = await follower.observe()
            except FinkError as error:
                refused_at = math.inf if error.retryable else min(refused_at, clock())
                is_final = not was_let_in or clock() - refused_at >= REFUSED_SECONDS
                if not error.retryable and is_final:
                    raise
                if (reason := str(error)) != said:
                    said = reason
                    log.warning("%s", said)
                await asyncio.sleep(poll_seconds)
                continue
            said = ""
            was_let_in = was_let_in or evidence.metrics is not None  # which takes the most rights
            refused_at = math.inf
            yield evidence
            await follower.changed(poll_seconds)
