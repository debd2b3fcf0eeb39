import pytest

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.stream.states import Phase, is_over, phase_of

STATES = {
    "": Phase.STARTING,
    "SUBMITTED": Phase.STARTING,
    "RESUMING": Phase.STARTING,
    "RUNNING": Phase.RUNNING,
    "SUBMISSION_FAILED": Phase.RESTARTING,
    "PENDING_RERUN": Phase.RESTARTING,
    "INVALIDATING": Phase.RESTARTING,
    "FAILING": Phase.RESTARTING,
    "UNKNOWN": Phase.RESTARTING,
    "SUSPENDING": Phase.PAUSED,
    "SUSPENDED": Phase.PAUSED,
    "SUCCEEDING": Phase.ENDED,
    "COMPLETED": Phase.ENDED,
    "FAILED": Phase.DEAD,
}


def test_no_other_than_the_operators_fourteen_states_is_known():
    with pytest.raises(InvalidRequest) as caught:
        phase_of("?")
    known = str(caught.value).partition("known states: ")[2].split(", ")
    assert sorted(["", *known]) == sorted(STATES)
    assert len(STATES) == 14


@pytest.mark.parametrize(("state", "phase"), STATES.items())
def test_each_state_of_the_operator_means_one_phase(state, phase):
    assert phase_of(state) is phase


@pytest.mark.parametrize("state", ["running", "RUNNING ", "None", "DONE"])
def test_another_state_is_refused_with_those_there_are(state):
    with pytest.raises(
        InvalidRequest, match=r"is unknown; known states: SUBMITTED, RUNNING, .*FAILED"
    ):
        phase_of(state)


@pytest.mark.parametrize("state", STATES)
def test_only_completed_and_failed_are_over(state):
    assert is_over(state) is (state in {"COMPLETED", "FAILED"})
