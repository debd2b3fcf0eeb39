"""The stage `diagnose`: one line that names the cause, and a bundle of all evidence.

It never fails: it lists the sources that it cannot read, and reads the others.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import TriggerRule, get_current_context

from fink_k8s.adapters.base.notify import Message, Tone
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.diagnosis_report import (
    NOTHING_WRONG,
    bundle_of,
    diagnosis_report_of,
    line_of,
)
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.stream.states import Phase, phase_of
from fink_k8s.core.stream.stream_request import DiagnoseRequest, StreamRequest
from fink_k8s.glue.base.connections import cluster, store, store_secrets, stream_settings
from fink_k8s.glue.base.notifiers import notify
from fink_k8s.glue.base.steps import request_of, step
from fink_k8s.glue.base.task_failures import failures_of
from fink_k8s.glue.config.run_request import stream_request

log = logging.getLogger(__name__)
DIAGNOSIS_LIMIT = timedelta(minutes=5)
_NEXT_DRIVER_SECONDS, _POLL_SECONDS = 60, 2
Result = dict[str, str]


@step(retries=0, execution_timeout=DIAGNOSIS_LIMIT)
def diagnose_streams() -> list[Result]:
    """Diagnose the stream in the form, or each unhealthy stream of the namespace."""
    request = request_of(DiagnoseRequest)
    if request.asked_stream:
        return [diagnose_stream(request.asked_stream)]
    try:
        streams = _streams()
    except Exception as error:
        return [_blind("the streams", error)]
    # With many streams, do not wait for any: the task's time limit is for all of them.
    results = [diagnose_stream(stream, patience=0, only_if_unwell=True) for stream in streams]
    if not any(results):
        print(NOTHING_WRONG)
    return [result for result in results if result]


@step(retries=0, execution_timeout=DIAGNOSIS_LIMIT)
def diagnose_failure(model: type[StreamRequest], tells: bool = False) -> Result:
    """Diagnose the stream of a failed run; if `tells`, also notify people."""
    result = _diagnosed(model)
    if tells:
        title = f"Fink: {get_current_context()['dag'].dag_id} failed"
        bundle = f"\nbundle: {result['address']}" if result["address"] else ""
        notify(Message(title, f"{result['line']}{bundle}", Tone.FAILURE))
    return result


def _diagnosed(model: type[StreamRequest]) -> Result:
    failures = failures_of(get_current_context())
    try:
        stream = stream_request(model).stream
    except Exception as error:  # the request itself is what failed
        said = next(filter(None, failures.values()), str(error))
        print(f"the run names no valid stream to check: {said}")
        return {"category": "", "line": said, "address": ""}
    return diagnose_stream(stream, failures)


def diagnose_stream(
    stream: str,
    failures: Mapping[str, str] | None = None,
    patience: float = _NEXT_DRIVER_SECONDS,
    *,
    only_if_unwell: bool = False,
) -> Result:
    """Print the report and save the bundle; skip a healthy stream if `only_if_unwell`."""
    try:
        look = StreamDiagnosis.at(stream, failures, patience)
        return {} if only_if_unwell and look.is_well else look.told()
    except Exception as error:
        return _blind(stream, error)


def _blind(what: str, error: Exception) -> Result:
    """Return the result of a failed look; a diagnosis never fails itself."""
    line = f"{what} could not be checked: {error}"
    log.exception("%s", line)
    return {"stream": what, "category": "", "line": line, "address": ""}


def diagnose_on_failure(model: type[StreamRequest], *, tells: bool = False) -> Any:
    """Return the last task of a chain, which runs only if the chain fails, and keeps it failed.

    Set `tells` to notify people: for runs that nobody triggered and nobody watches.

    A run's state is that of its last tasks, and a diagnosis that succeeds would turn it green; a
    teardown's state does not count.
    """
    diagnosed = diagnose_failure(model, tells)
    diagnosed.operator.as_teardown()
    # A teardown's own rule would start it after each success as well.
    diagnosed.operator.trigger_rule = TriggerRule.ONE_FAILED
    return diagnosed


@dataclass(frozen=True)
class StreamDiagnosis:
    """The evidence of one stream, and its diagnosis."""

    stream: str
    evidence: Evidence
    found: Diagnosis | None

    @classmethod
    def at(
        cls,
        stream: str,
        failures: Mapping[str, str] | None,
        patience: float,
    ) -> "StreamDiagnosis":
        """Read all sources; the evidence lists those that did not answer.

        Between two drivers, the operator has deleted the first one with its log. The next one will
        log the same error, so wait for it (`patience`, in seconds).
        """
        first = cls._once(stream, failures)
        deadline = time.monotonic() + patience
        while first._is_wordless and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            later = cls._once(stream, failures)
            if later.found and not later._is_wordless:
                return later
        return first

    @classmethod
    def _once(cls, stream: str, failures: Mapping[str, str] | None) -> "StreamDiagnosis":
        from fink_k8s.adapters.diagnosis.evidence_sources import gather

        settings = stream_settings(stream)
        evidence = gather(
            cluster(), settings, stream, partial(store, settings),
            failures=failures, secrets=store_secrets(),
        )  # fmt: skip
        return cls(stream, evidence, diagnose(evidence))

    @property
    def _is_wordless(self) -> bool:
        return (
            self.found is not None
            and self.found.category in {Category.DRIVER_FAILED, Category.CRASH_LOOP}
            and phase_of(self.evidence.state) is Phase.RESTARTING
            and not self.evidence.driver_log
        )

    @property
    def is_well(self) -> bool:
        """Tell whether nothing is wrong and all sources answered."""
        return not self.found and not self.evidence.unanswered

    def told(self) -> Result:
        """Print the report, save the bundle, and return the result for other tasks."""
        print(diagnosis_report_of(self.stream, self.evidence, self.found))
        settings = load_settings()
        address = self.kept(settings, partial(store, settings))
        for source, why in self.evidence.unanswered.items():
            log.warning("could not read %s: %s", source, why)
        line = line_of(self.stream, self.evidence, self.found)
        # People read the last line.
        print(f"bundle: {address or 'not saved'}")
        (log.error if self.found else log.info)("%s", line)
        category = self.found.category.value if self.found else ""
        return {"stream": self.stream, "category": category, "line": line, "address": address}

    def kept(self, settings: Settings, open_store: Callable[[], Any]) -> str:
        """Save the bundle, and return its address; on failure, log it and return an empty text."""
        from fink_k8s.adapters.store.archive import keep_bundle

        files = bundle_of(self.stream, self.evidence, self.found)
        moment = self.evidence.seen_at or datetime.now(UTC)
        try:
            return keep_bundle(files, self.stream, moment, settings, open_store)
        except Exception as error:
            log.error(
                "the bundle could not be saved: %s; set FINK_DIAGNOSIS_DIR to a folder", error
            )
            return ""


def _streams() -> list[str]:
    """Return the namespace's streams that have not ended well, however they were submitted."""
    from fink_k8s.adapters.stream.overview import observe_all

    seen = observe_all(cluster(), load_settings().namespace)
    return [name for name, evidence in seen.items() if phase_of(evidence.state) is not Phase.ENDED]
