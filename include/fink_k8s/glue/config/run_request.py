"""A run's own night, and its request for a stream."""

from typing import TypeVar

from airflow.sdk import get_current_context

from fink_k8s.core.config.night_windows import Night
from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.glue.base.steps import request_of
from fink_k8s.glue.config.timetable import night_named_in

Stream = TypeVar("Stream", bound=StreamRequest)


def night_of_run(survey: str) -> Night:
    """Return the night of the run: the form's, else the schedule's, else that of its own moment.

    None of them changes with a retry, or where the window is moved while a scheduled night runs.
    """
    context = get_current_context()
    run = context["dag_run"]
    window = survey_of(survey).window
    name = context["params"].get("night") or night_named_in(run.run_id)
    return window.night(name) if name else window.night_at(run.run_after)


def stream_request(model: type[Stream]) -> Stream:
    """Return the run's request for a stream, its night and topic filled in."""
    request = request_of(model)
    return request.filled_in(night_of_run(request.survey).name)
