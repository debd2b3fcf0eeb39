"""Observe a stream repeatedly from the triggerer, on the watch that all triggers share."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from functools import partial

from fink_k8s.adapters.stream.informer import following
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.glue.base.connections import cluster

# An account with rights may be refused for a while: its binding or token is re-created.
REFUSED_SECONDS = 300

log = logging.getLogger(__name__)


async def observations(
    conn_id: str, namespace: str, stream: str, poll_seconds: float, *, was_let_in: bool = False
) -> AsyncGenerator[Evidence]:
    """Yield the evidence of a stream: now, on each change, and at least every `poll_seconds`.

    While the API server does not answer, nothing is yielded; each reason is logged once. Wrap it in
    `contextlib.aclosing`: otherwise an early exit leaves the watch running.

    `was_let_in` is true if an earlier look, of another task or trigger, had all rights.

    Raises:
        FinkError: retrying cannot help, e.g. a right is missing; a right that existed before must
            be missing for `REFUSED_SECONDS`.
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
            was_let_in = was_let_in or evidence.metrics is not None  # which needs the most rights
            refused_at = math.inf
            yield evidence
            await follower.changed(poll_seconds)
