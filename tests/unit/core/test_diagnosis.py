import json
from datetime import UTC, datetime

import pytest

from fink_k8s.core.diagnosis import Category, Evidence, diagnose

DRIVER = "stream2raw-ztf-20260101-driver"
IMAGE = "localhost:5000/fink/stream2raw:4.0_3.5.7"
NOT_FOUND = (
    f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": '
    f"{IMAGE}: not found"
)
NO_ROOM = (
    "0/3 nodes are available: 1 node(s) had untolerated taint, 2 Insufficient memory. "
    "preemption: 0/3 nodes are available."
)
SUBMIT = "failed to run spark-submit: failed to create driver pod: "
QUOTA = (
    f'{SUBMIT}pods "{DRIVER}" is forbidden: exceeded quota: compute, requested: '
    "requests.memory=1433Mi, used: requests.memory=3Gi, limited: requests.memory=4Gi"
)
WEBHOOK = (
    f"{SUBMIT}Internal error occurred: failed calling webhook "
    '"mutate-pod.sparkoperator.k8s.io": failed to call webhook: Post '
    '"https://spark-operator-webhook-svc.spark-operator.svc:9443/mutate--v1-pod?timeout=10s": '
    "dial tcp 10.96.7.7:9443: connect: connection refused"
)
NO_ACCOUNT = (
    f'{SUBMIT}pods "{DRIVER}" is forbidden: error looking up service account spark/spark: '
    'serviceaccount "spark" not found'
)
FORBIDDEN = (
    'pods is forbidden: User "system:serviceaccount:spark:spark" cannot create resource "pods" '
    'in API group "" in the namespace "spark"'
)
STACK = """failed to run spark-submit: 26/01/01 00:00:00 WARN NativeCodeLoader: no native library
Exception in thread "main" org.apache.spark.SparkException: Please specify spark.kubernetes.file.upload.path property.
\tat org.apache.spark.deploy.k8s.KubernetesUtils$.uploadFileUri(KubernetesUtils.scala:330)
\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)
"""  # noqa: E501
LOG = """26/01/01 00:00:00 INFO SparkContext: Running Spark version 3.5.7
{"stream2raw": "started", "output": "s3a://fink/raw/20260101"}
{"stream2raw": "failed", "reason": "Caused by: UnknownTopicOrPartitionException: no topic"}
26/01/01 00:01:00 INFO ShutdownHookManager: Shutdown hook called
"""
TRACEBACK = """Traceback (most recent call last):
  File "/opt/fink/stream2raw/bin/stream2raw.py", line 3, in <module>
    from stream2raw.job import main
ModuleNotFoundError: No module named 'stream2raw'
26/01/01 00:01:00 INFO ShutdownHookManager: Shutdown hook called
"""


def application(state="", message=""):
    said = {"state": state, "errorMessage": message} if message else {"state": state}
    return {"metadata": {"name": DRIVER[:-7]}, "status": {"applicationState": said}}


def pod(status, name=DRIVER, role="driver"):
    return {
        "metadata": {"name": name, "labels": {"spark-role": role}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": IMAGE}]},
        "status": status,
    }


def waiting(reason, message=""):
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return {"phase": "Pending", "containerStatuses": [{"state": state, "lastState": {}}]}


def unschedulable():
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": NO_ROOM,
    }
    return {"phase": "Pending", "conditions": [condition]}


def terminated(reason, code, where="state"):
    ended = {"terminated": {"reason": reason, "exitCode": code}}
    status = {"state": {"running": {}}, "lastState": {}, where: ended}
    return {"phase": "Failed", "containerStatuses": [status]}


def submitted(status, **other):
    return Evidence(application("SUBMITTED"), [pod(status, **other)])


def failed(state, message="", log="", status=None):
    pods = [pod(status or terminated("Error", 1))]
    return Evidence(application(state, message), pods, driver_log=log)


CASES = [
    (submitted(waiting("ErrImagePull", NOT_FOUND)), "image-pull", [IMAGE, "not found"]),
    (submitted(waiting("ImagePullBackOff")), "image-pull", [IMAGE, "ImagePullBackOff"]),
    (submitted(waiting("InvalidImageName")), "image-pull", ["run fink_image"]),
    (
        submitted(waiting("CreateContainerConfigError", 'secret "fink-store" not found')),
        "secret-missing",
        [DRIVER, 'secret "fink-store" not found', "FINK_STORE_SECRET"],
    ),
    (submitted(unschedulable()), "unschedulable", [DRIVER, "2 Insufficient memory"]),
    (
        Evidence(
            application("RUNNING"),
            [pod({"phase": "Running"}), pod(unschedulable(), name="exec-1", role="executor")],
        ),
        "unschedulable",
        ["no node has room for exec-1", "add a node"],
    ),
    (Evidence(application("SUBMISSION_FAILED", QUOTA)), "quota", ["limited: requests.memory=4Gi"]),
    (Evidence(application("FAILED", QUOTA)), "quota", ["raise the quota"]),
    (
        Evidence(application("SUBMISSION_FAILED", WEBHOOK)),
        "webhook-away",
        ["connection refused", "helm"],
    ),
    (
        Evidence(application("SUBMISSION_FAILED", NO_ACCOUNT)),
        "right-missing",
        ['serviceaccount "spark" not found', "Run fink_rbac"],
    ),
    (Evidence(application("PENDING_RERUN", FORBIDDEN)), "right-missing", ["cannot create"]),
    (
        failed("FAILING", log=f"26/01/01 ERROR Utils: start\n  Message: {FORBIDDEN}.\n\tat a.b"),
        "right-missing",
        ["Message: pods is forbidden: User"],
    ),
    (
        Evidence(application("SUBMISSION_FAILED", STACK)),
        "submission-failed",
        ["SparkException: Please specify spark.kubernetes.file.upload.path", "operator's log"],
    ),
    (Evidence(application("SUBMISSION_FAILED")), "submission-failed", ["spark-submit failed"]),
    (
        failed("FAILED", status=terminated("OOMKilled", 137)),
        "out-of-memory",
        ["137", "more memory"],
    ),
    (
        failed("PENDING_RERUN", status=terminated("OOMKilled", 137, where="lastState")),
        "out-of-memory",
        ["exit code 137"],
    ),
    (
        failed("FAILED", "driver container failed with ExitCode: 1, Reason: Error", LOG),
        "driver-failed",
        ["Caused by: UnknownTopicOrPartitionException: no topic. Mend"],
    ),
    (failed("FAILING", log=TRACEBACK), "driver-failed", ["No module named 'stream2raw'"]),
    (failed("FAILED", log="one\nlast words\n\n"), "driver-failed", ["error: last words. "]),
    (failed("FAILED", "driver pod not found"), "driver-failed", ["driver pod not found"]),
    (Evidence(application("FAILED")), "driver-failed", ["application FAILED"]),
]


@pytest.mark.parametrize(("evidence", "category", "words"), CASES)
def test_a_fault_is_named_with_detail_and_remedy(evidence, category, words):
    found = diagnose(evidence)
    assert found.category == category
    line = str(found)
    assert line.startswith(f"[{category}] ")
    assert line.endswith(found.resolution)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_each_category_that_a_single_look_can_tell_has_a_case():
    of_watch = {Category.OPERATOR_AWAY, Category.QUERY_DEAD}
    assert {category for _, category, _ in CASES} == set(Category) - of_watch


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(None),
        Evidence({"metadata": {"name": "new"}}),
        Evidence(application("SUBMITTED")),
        submitted(waiting("ContainerCreating")),
        submitted({"phase": "Pending"}),
        submitted({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}),
        Evidence(application("RUNNING"), [pod({"phase": "Running"})]),
        # The message of an earlier try is no fault of the present one.
        Evidence(application("RUNNING", QUOTA), [pod({"phase": "Running"})]),
        Evidence(application("SUBMITTED", WEBHOOK)),
        Evidence(
            application("RUNNING"),
            [pod({"phase": "Running"}), pod(terminated("OOMKilled", 137), role="executor")],
        ),
        Evidence(application("COMPLETED"), [pod(terminated("Completed", 0))]),
    ],
)
def test_where_nothing_is_wrong_nothing_is_found(evidence):
    assert diagnose(evidence) is None


def test_the_nearest_cause_is_named_first():
    evidence = Evidence(
        application("FAILED", QUOTA), [pod(waiting("ErrImagePull", NOT_FOUND))], driver_log=LOG
    )
    assert diagnose(evidence).category is Category.IMAGE_PULL


def test_an_executors_memory_is_not_taken_for_the_drivers():
    executor = pod(terminated("OOMKilled", 137), name="exec-1", role="executor")
    evidence = Evidence(application("FAILED"), [executor, pod(terminated("Error", 1))])
    assert diagnose(evidence).category is Category.DRIVER_FAILED


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(application("SUBMISSION_FAILED", "x" * 9000)),
        Evidence(application("SUBMISSION_FAILED", "Exception " * 900)),
        failed("FAILED", log="Error " * 2000),
        failed("FAILED", log=json.dumps({"stream2raw": "failed", "reason": "x" * 9000})),
    ],
)
def test_a_long_story_is_cut_short(evidence):
    assert len(diagnose(evidence).detail) <= 400


def test_a_message_of_several_lines_is_told_in_one():
    found = diagnose(failed("FAILED", "driver container failed\nwith ExitCode: 1"))
    assert "\n" not in str(found)


def test_a_last_line_that_was_cut_off_is_shown_as_it_is():
    found = diagnose(failed("FAILED", log='{"stream2raw": "failed", "reason": "Caused b'))
    assert found.category is Category.DRIVER_FAILED


def test_a_batch_before_the_error_is_not_the_cause():
    log = '{"stream2raw": "batch", "batch": 7}\njava.lang.OutOfMemoryError: Java heap space\n'
    assert "Java heap space" in str(diagnose(failed("FAILED", log=log)))


def test_stream2raws_own_reason_outlives_what_its_shutdown_says():
    log = LOG + "26/01/01 00:01:01 WARN ShutdownHookManager: java.lang.InterruptedException\n"
    assert "UnknownTopicOrPartitionException: no topic" in str(diagnose(failed("FAILED", log=log)))


def test_state_and_message_are_the_applications():
    evidence = Evidence(application("SUBMISSION_FAILED", QUOTA))
    assert (evidence.state, evidence.message) == ("SUBMISSION_FAILED", QUOTA)


@pytest.mark.parametrize(
    "seen", [None, {}, {"status": None}, {"status": {}}, {"status": {"applicationState": None}}]
)
def test_a_new_application_has_no_state(seen):
    assert (Evidence(seen).state, Evidence(seen).message) == ("", "")


def test_the_driver_is_found_among_the_pods():
    driver = pod({"phase": "Running"})
    executor = pod({"phase": "Pending"}, name="exec-1", role="executor")
    strange = {"metadata": {"name": "x"}, "spec": {}, "status": {"phase": "Failed"}}
    evidence = Evidence(application("RUNNING"), [strange, executor, driver])
    assert evidence.driver is driver
    assert evidence.driver_phase == "Running"
    assert Evidence(application("RUNNING"), [executor]).driver_phase == "not there"


def test_the_drivers_age_counts_from_its_containers_start():
    running = {"running": {"startedAt": "2026-01-01T20:00:05Z"}}
    status = {"phase": "Running", "containerStatuses": [{"state": running}]}
    assert submitted(status).driver_started == datetime(2026, 1, 1, 20, 0, 5, tzinfo=UTC)
    assert submitted(waiting("ContainerCreating")).driver_started is None
    assert Evidence(application("RUNNING")).driver_started is None
