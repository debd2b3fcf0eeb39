"""The testbed is what it says, and `up` twice is safe."""

import pytest

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.kafka.broker import check_topic
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from testbed import bed, pins

pytestmark = pytest.mark.testbed


def test_every_part_is_up(environment):
    status = bed.status()
    assert {"kafka", "kube-apiserver", "spark-operator"} <= set(status)
    assert [part for part, state in status.items() if not state.startswith("up")] == []


def test_up_again_changes_no_process(environment):
    before = bed.status()
    bed.up(lambda line: None)
    assert bed.status() == before


def test_it_is_the_version_that_is_pinned(kubernetes):
    assert pins.KUBERNETES.startswith(Cluster(kubernetes).version() + ".")


def test_a_topic_that_is_missing_and_a_broker_that_is_away_are_told_apart(environment):
    servers = environment["FINK_KAFKA_SERVERS"]
    with pytest.raises(InvalidRequest, match="no_such_topic"):
        check_topic(servers, "no_such_topic")
    with pytest.raises(Unavailable, match="FINK_KAFKA_SERVERS"):
        check_topic("127.0.0.1:9", "any", timeout=2)
