"""The version that the API server itself tells decides whether a release may run."""

import pytest

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.core.preflight.prerequisites import FindingLevel, check_release

pytestmark = pytest.mark.testbed


@pytest.mark.shows("docs/from-the-command-line.md#release")
@pytest.mark.parametrize(
    ("tag", "level", "words"),
    [
        ("0.7.0_2.4.4", FindingLevel.ERROR, "Spark 2.4.x never works above Kubernetes 1.15"),
        ("2.4_3.1.3", FindingLevel.OK, "tested"),
        ("", FindingLevel.OK, "tested"),
    ],
)
def test_a_release_is_judged_by_the_cluster_s_own_version(kubernetes, matrix, tag, level, words):
    finding = check_release(matrix.get(tag), Cluster(kubernetes).version())
    assert finding.level is level
    assert words in finding.text
