"""What a person may ask of `fink_health`."""

from pydantic import Field

from fink_k8s.core.base.fields import Request


class HealthRequest(Request):
    """A look at all streams, and whether to send the result in any case."""

    send_test: bool = Field(
        False,
        title="Send a test message",
        description="Send the report to every target of the connection `fink_notify`, even if "
        "nothing has changed. The log lists each target that did not accept it.",
    )
