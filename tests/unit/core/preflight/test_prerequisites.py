from decimal import Decimal

import pytest

from fink_k8s.core.base.errors import Refused
from fink_k8s.core.config.releases import Release, Security
from fink_k8s.core.preflight import prerequisites
from fink_k8s.core.preflight.prerequisites import Finding, FindingLevel
from fink_k8s.core.stream.stream_request import StreamRequest, SubmitWith

MIB, GIB = 2**20, 2**30
CORES = Decimal("0.3")
RELEASE = Release(
    fink="0.7.0",
    spark="2.4.4",
    scala="2.11",
    java=8,
    kubernetes=(
        {"highest": "1.14", "lowest": "1.14", "verdict": "tested", "reason": "it ran"},
        {"highest": "1.15", "verdict": "expected", "reason": "the document has it"},
        {"verdict": "refused", "reason": "never above Kubernetes 1.15"},
    ),
)


def rooms(free):
    """Return rooms with the cores exact, as they come from the cluster."""
    return {node: (Decimal(str(cores)), memory) for node, (cores, memory) in free.items()}


def deployment(part, available):
    labels = {"app.kubernetes.io/name": "spark-operator", "app.kubernetes.io/component": part}
    return {"metadata": {"labels": labels}, "status": available}


@pytest.mark.parametrize(
    ("version", "level"),
    [("1.14", FindingLevel.OK), ("1.15", FindingLevel.WARNING), ("1.34", FindingLevel.ERROR)],
)
def test_a_release_may_be_tested_untested_or_impossible(version, level):
    finding = prerequisites.check_release(RELEASE, version)
    assert finding.level is level
    assert f"Kubernetes {version}" in finding.text


@pytest.mark.parametrize(
    ("spark", "labels", "is_refused"),
    [
        ("3.1.3", {"pod-security.kubernetes.io/enforce": "restricted"}, True),
        ("3.1.3", {"pod-security.kubernetes.io/enforce": "baseline"}, False),
        ("3.1.3", None, False),
        ("3.5.7", {"pod-security.kubernetes.io/enforce": "restricted"}, False),
    ],
)
def test_pod_security_is_asked_before_an_old_spark_makes_pods_by_itself(spark, labels, is_refused):
    release = RELEASE.model_copy(update={"spark": spark})
    found = prerequisites.check_pod_security(release, {"metadata": {"labels": labels}})
    assert [one.level for one in found] == [FindingLevel.ERROR] * is_refused
    assert all(f"Spark {spark}" in one.text for one in found)


def test_the_namespace_that_stage_rbac_makes_is_restricted():
    old = RELEASE.model_copy(update={"spark": "3.1.3"})
    assert prerequisites.check_pod_security(old, None)
    assert not prerequisites.check_pod_security(RELEASE.model_copy(update={"spark": "3.5.7"}), None)


def test_a_release_with_known_faults_is_warned_of_and_may_run():
    old = RELEASE.model_copy(update={"security": Security(reason="no fixes since 2021")})
    [finding] = prerequisites.check_security(old)
    assert str(finding) == (
        "warning: Spark 2.4.4: no fixes since 2021; use a newer release if you can"
    )
    assert prerequisites.check_security(RELEASE) == []


def test_without_the_crd_the_operator_is_to_be_installed():
    alive = [deployment("controller", {"availableReplicas": 1})]
    [finding] = prerequisites.check_operator_ready(False, alive, "spark-operator")
    assert str(finding) == (
        "error: the cluster does not know the resource SparkApplication; install the Spark "
        "Operator with its Helm chart, or set submit_with to spark-submit, which does not need it"
    )


def test_an_operator_with_both_parts_alive_is_well():
    parts = [
        deployment("webhook", {"availableReplicas": 2}),
        deployment("controller", {"availableReplicas": 1}),
        {"metadata": {"labels": None}, "status": None},
    ]
    assert [
        str(one) for one in prerequisites.check_operator_ready(True, parts, "spark-operator")
    ] == [
        "ok: the Spark Operator's controller is running",
        "ok: the Spark Operator's webhook is running",
    ]


@pytest.mark.parametrize(
    ("asked", "runs", "level"),
    [
        (SubmitWith.SPARK_SUBMIT, SubmitWith.SPARK_SUBMIT, FindingLevel.OK),
        (SubmitWith.SPARK_OPERATOR, SubmitWith.SPARK_OPERATOR, FindingLevel.OK),
        (SubmitWith.SPARK_SUBMIT, SubmitWith.SPARK_OPERATOR, FindingLevel.ERROR),
        (SubmitWith.SPARK_OPERATOR, SubmitWith.SPARK_SUBMIT, FindingLevel.ERROR),
    ],
)
def test_what_runs_the_other_way_is_told_before_anything_is_made(asked, runs, level):
    finding = prerequisites.check_way(StreamRequest(night="20250101", submit_with=asked), runs)
    assert finding.level is level
    assert ("will be adopted" in finding.text) is (level is FindingLevel.OK)
    assert (f"set submit_with to {runs}" in finding.remedy) is (level is FindingLevel.ERROR)


@pytest.mark.parametrize("dead", ["controller", "webhook"])
@pytest.mark.parametrize("status", [None, {}, {"availableReplicas": 0}, {"unavailableReplicas": 1}])
def test_a_dead_part_of_the_operator_is_named(dead, status):
    [alive] = {"controller", "webhook"} - {dead}
    parts = [deployment(dead, status), deployment(alive, {"availableReplicas": 1})]
    findings = prerequisites.check_operator_ready(True, parts, "ops")
    assert [one.level for one in findings if alive in one.text] == [FindingLevel.OK]
    [error] = [one for one in findings if one.level is FindingLevel.ERROR]
    assert error.text == f"the Spark Operator's {dead} is not available"
    assert "kubectl -n ops get deployments" in error.remedy


def test_parts_that_are_not_there_may_be_in_another_namespace():
    findings = prerequisites.check_operator_ready(True, [], "ops")
    assert [one.text for one in findings] == [
        "the Spark Operator's controller is not in namespace ops",
        "the Spark Operator's webhook is not in namespace ops",
    ]
    assert all("FINK_OPERATOR_NAMESPACE" in one.remedy for one in findings)


@pytest.mark.parametrize(
    ("exists", "will_be_made", "line"),
    [
        (True, True, "ok: namespace spark exists"),
        (True, False, "ok: namespace spark exists"),
        (False, True, "warning: namespace spark does not exist; stage rbac will create it"),
        (False, False, "error: namespace spark does not exist; do not skip stage rbac"),
    ],
)
def test_a_missing_namespace_matters_where_nobody_makes_it(exists, will_be_made, line):
    assert str(prerequisites.check_namespace("spark", exists, will_be_made)) == line


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("1g", GIB + int(0.4 * GIB)),
        ("2g", 2 * GIB + int(0.8 * GIB)),
        ("900m", 900 * MIB + 384 * MIB),
        ("960m", 960 * MIB + 384 * MIB),
        ("1m", MIB + 384 * MIB),
    ],
)
def test_a_pod_asks_for_its_heap_and_sparks_overhead(memory, size):
    driver, executor = prerequisites.rooms_of(StreamRequest(driver_memory=memory))
    assert driver == (CORES, size)
    assert executor == (CORES, GIB + int(0.4 * GIB))


def test_each_executor_asks_for_its_own_room():
    driver, *executors = prerequisites.rooms_of(StreamRequest(executors=3, executor_memory="2g"))
    assert executors == [(CORES, 2 * GIB + int(0.8 * GIB))] * 3
    assert driver != executors[0]


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({}, {"a": (0.6, 3 * GIB)}),
        ({}, {"a": (0.3, 2 * GIB), "b": (0.3, 2 * GIB)}),
        ({}, {"full": (0.0, 0), "over": (-1.0, -GIB), "a": (4.0, 8 * GIB)}),
        # The driver first would take the one node that holds the executor.
        ({"executor_memory": "4g"}, {"a": (4.0, 6 * GIB), "b": (4.0, 2 * GIB)}),
        ({"driver_memory": "4g"}, {"a": (4.0, 6 * GIB), "b": (4.0, 2 * GIB)}),
        ({"executors": 5}, {"a": (4.0, 5 * GIB), "b": (4.0, 5 * GIB)}),
        # In floats, 1.2 - 3 * 0.3 is less than 0.3.
        ({"executors": 3}, {"a": (1.2, 8 * GIB)}),
    ],
)
def test_there_is_room_where_each_pod_finds_a_node(fields, free):
    free = rooms(free)
    before = dict(free)
    finding = prerequisites.check_capacity(StreamRequest(**fields), free)
    assert finding.level is FindingLevel.OK
    assert finding.text.endswith("there is room")
    assert free == before


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({}, {}),
        ({}, {"a": (0.5, 8 * GIB)}),
        ({}, {"a": (4.0, 2 * GIB)}),
        # Enough in sum, but a pod is not divided among nodes.
        ({"executor_memory": "4g"}, {"a": (4.0, 5 * GIB), "b": (4.0, 5 * GIB)}),
        ({"executors": 6}, {"a": (4.0, 5 * GIB), "b": (4.0, 5 * GIB)}),
        ({"executors": 100}, {"a": (4.0, 64 * GIB)}),
    ],
)
def test_without_room_for_each_pod_there_is_an_error_with_remedy(fields, free):
    finding = prerequisites.check_capacity(StreamRequest(**fields), rooms(free))
    assert finding.level is FindingLevel.ERROR
    assert "request less memory or fewer executors" in finding.remedy


def test_the_error_says_what_is_asked_and_what_is_free():
    request = StreamRequest(executors=2)
    free = rooms({"a": (0.5, 2 * GIB), "b": (1.0, GIB)})
    finding = prerequisites.check_capacity(request, free)
    assert finding.text == (
        "the stream requests 0.9 CPU and 4.2 GiB in 3 pods, more than the nodes have free: "
        "a: 0.5 CPU, 2.0 GiB, b: 1.0 CPU, 1.0 GiB"
    )
    nowhere = prerequisites.check_capacity(request, {})
    assert nowhere.text.endswith("more than the nodes have free: nothing")


@pytest.mark.parametrize("may_pass", [True, False])
def test_all_errors_are_told_at_once_and_tried_again_where_each_may_pass(may_pass):
    found = [
        prerequisites.Finding(FindingLevel.WARNING, "odd"),
        prerequisites.Finding(FindingLevel.ERROR, "Kafka is away", may_pass=True),
        prerequisites.Finding(FindingLevel.ERROR, "broken", "glue it", may_pass=may_pass),
    ]
    with pytest.raises(Refused) as caught:
        prerequisites.refuse_errors(found)
    assert str(caught.value) == "error: Kafka is away; error: broken; glue it"
    assert caught.value.retryable is may_pass
    prerequisites.refuse_errors(found[:1])


def test_a_finding_is_one_line():
    assert str(Finding(FindingLevel.OK, "well")) == "ok: well"
    assert str(Finding(FindingLevel.WARNING, "odd", "look")) == "warning: odd; look"
