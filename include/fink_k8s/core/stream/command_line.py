"""The command line of stream2raw: form and settings as Fink's own flags; pure.

Sources: `bin/ztf/stream2raw.py` and `fink_broker/common/parser.py` of fink-broker 4.0;
`bin/stream2raw.py` and `fink_broker/parser.py` of 2.4, which reject unknown flags.
"""

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Flags
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.image.image_plan import CODE_HOME, OWN_MAIN_FILE, path_in_image
from fink_k8s.core.kafka.topics import topic_pattern
from fink_k8s.core.store.night_paths import checkpoint_path, raw_path
from fink_k8s.core.stream.stream_request import StreamRequest

OWN_SCHEMAS = f"{CODE_HOME}/stream2raw/schemas"
_UNKNOWN_BEFORE = ("max_offsets_per_trigger", "spark_log_level")
"""Fields without a flag in the older generation."""


def arguments_of(
    request: StreamRequest, settings: Settings, main_file: str, flags: Flags = Flags.PREFIX
) -> list[str]:
    """Return the arguments after the program's name; `flags` is the generation of Fink's code.

    Raises:
        InvalidRequest: this project's job does not read that survey, or the program has no flag
            for a field; the message names the field.
    """
    given = {
        "-servers": settings.kafka_servers,
        "-topic": topic_pattern(request.topic),
        "-schema": _schema_of(request, main_file),
        "-startingoffsets_stream": request.starting_offsets.value,
        "-tinterval": str(request.trigger_interval_s),
        "-exit_after": str(round(3600 * request.stop_after_hours)),
        "-log_level": request.log_level.value,
    }
    prefix = settings.store.url
    if flags is Flags.PATHS and main_file != OWN_MAIN_FILE:
        _check_sayable(request)
        given["-rawdatapath"] = raw_path(prefix, request.night)
        given["-checkpointpath_raw"] = checkpoint_path(prefix, request.night)
    else:
        given["-online_data_prefix"] = prefix
        given["-night"] = request.night
        given["-producer"] = survey_of(request.survey).reader
        given["-max_offsets_per_trigger"] = str(request.max_offsets_per_trigger)
        given["-spark_log_level"] = request.spark_log_level.value
    return [word for flag, value in given.items() if value for word in (flag, value)]


def _check_sayable(request: StreamRequest) -> None:
    for name in _UNKNOWN_BEFORE:
        usual = StreamRequest.model_fields[name].default
        if getattr(request, name) != usual:
            raise InvalidRequest(
                f"{name}: Fink's own code of this release has no such flag; keep {usual}"
            )


def _schema_of(request: StreamRequest, main_file: str) -> str:
    """Return the path of the alerts' schema in the image; empty if the program has its own."""
    is_own, survey = main_file == OWN_MAIN_FILE, survey_of(request.survey)
    if is_own and survey.refusal:
        raise InvalidRequest(survey.refusal)
    if request.schema_file:
        return path_in_image(request.schema_file)
    return f"{OWN_SCHEMAS}/{survey.schema_file}" if is_own else ""
