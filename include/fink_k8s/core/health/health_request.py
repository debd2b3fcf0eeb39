"""What a person may ask of `fink_health`."""

from pydantic import Field

from fink_k8s.core.base.fields import Request


class HealthRequest(Request):
    """A look at all streams, and whether to send the result in any case."""

    send_test: bool = Field(
        False,
        title="Send a test message",
        description="Send the lines to all targets of the connection `fink_notify`, whether "
        "anything has changed or not. The log says who did not take it.",
    )
