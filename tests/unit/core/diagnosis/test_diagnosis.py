import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import diagnosis_from
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.positions import Position, Topic

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
{"stream2raw": "failed", "reason": "Caused by: IllegalStateException: no topic"}
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


def unschedulable(message=NO_ROOM):
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
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
        ["Caused by: IllegalStateException: no topic. Fix"],
    ),
    (failed("FAILING", log=TRACEBACK), "driver-failed", ["No module named 'stream2raw'"]),
    (failed("FAILED", log="one\nlast words\n\n"), "driver-failed", ["error: last words. "]),
    (failed("FAILED", "driver pod not found"), "driver-failed", ["driver's pod was deleted"]),
    (Evidence(application("FAILED")), "driver-failed", ["application FAILED"]),
]


@pytest.mark.parametrize(("evidence", "category", "words"), CASES)
def test_a_fault_is_named_with_detail_and_remedy(evidence, category, words):
    found = diagnose(evidence)
    assert found.category == category
    line = str(found)
    assert line.startswith(f"[{category}] ")
    assert line.endswith(found.remedy)
    assert "\n" not in line
    for word in words:
        assert word in line


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
    assert "IllegalStateException: no topic" in str(diagnose(failed("FAILED", log=log)))


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
    assert Evidence(application("RUNNING"), [executor]).driver_phase == "missing"


def test_the_drivers_age_counts_from_its_containers_start():
    running = {"running": {"startedAt": "2026-01-01T20:00:05Z"}}
    status = {"phase": "Running", "containerStatuses": [{"state": running}]}
    assert submitted(status).driver_started == datetime(2026, 1, 1, 20, 0, 5, tzinfo=UTC)
    assert submitted(waiting("ContainerCreating")).driver_started is None
    assert Evidence(application("RUNNING")).driver_started is None


NOW = datetime(2026, 1, 1, 22, tzinfo=UTC)
BATCH = '{"stream2raw": "batch", "batch": 7}'
BROKER = "WARN NetworkClient: Connection to node -1 could not be established. Broker may not be available."  # noqa: E501
GAUGES = {"gauges": {"app.driver.spark.streaming.query.latency": {"value": 1}}}
TOPIC = Topic("alerts", starts={0: 0, 1: 0}, ends={0: 90, 1: 80}, due={0: 60, 1: 80})


def full(**changes):
    """Return a full look at a stream that is well."""
    running = {"running": {"startedAt": "2026-01-01T20:00:00Z"}}
    driver = pod({"phase": "Running", "containerStatuses": [{"state": running}]})
    position = Position(3, 3, NOW - timedelta(seconds=10), {0: 90, 1: 80}, 3, 170, 0)
    seen = {
        "seen_at": NOW,
        "metrics": GAUGES,
        "driver_log": BATCH,
        "position": position,
        "topic": TOPIC,
    }
    return Evidence(application("RUNNING"), [driver], **{**seen, **changes})


def position(**changes):
    return {"position": replace(full().position, **changes)}


BEHIND = position(next={0: 30, 1: 80}, committed_at=NOW - timedelta(minutes=20))


@pytest.mark.parametrize(
    ("changes", "category", "words"),
    [
        (BEHIND, "stalled", ["30 alerts have waited for more than 300 s", "batch 4 has not ended"]),
        (position(next={}, committed=-1, committed_at=None, written=-1, planned=0), "stalled", []),
        (position(set_aside=9), "corrupt-alerts", ["5% of the alerts", "9 of 170"]),
        ({"topic": Topic("alerts")}, "topic-missing", ["alerts is not on the brokers"]),
        (
            {"topic": replace(TOPIC, starts={0: 95, 1: 80}, ends={0: 99, 1: 80})},
            "offsets-gone",
            ["0: 90 to 94"],
        ),
        (position(planned=-1, committed=-1), "pair-broken", ["up to 3, the checkpoint is empty"]),
        (position(written=-1), "pair-broken", ["batch 3 is committed, the output has no"]),
        ({"metrics": {"gauges": {}}}, "query-dead", ["7200 s after its start"]),
        ({"metrics": None}, "query-dead", ["do not answer"]),
        ({"driver_log": f"{BATCH}\n{BROKER}"}, "kafka-unreachable", ["Broker may not be"]),
        ({"unanswered": {"kafka": "no broker"}}, "kafka-unreachable", ["Airflow itself"]),
        ({"unanswered": {"store": "timed out"}}, "store-unreachable", ["Airflow itself"]),
        ({"failures": {"t": "[quota] it is full: a. b. Do this"}}, "quota", ["a. b. Do this"]),
        ({"failures": {"t": WEBHOOK}}, "webhook-away", ["connection refused"]),
    ],
)
def test_a_full_look_sees_what_takes_numbers_and_a_clock(changes, category, words):
    found = diagnose(full(**changes))
    assert found.category == category
    for word in words:
        assert word in str(found)
    # A quick look has no clock and no numbers, and finds nothing.
    seen = full(**changes)
    assert diagnose(Evidence(seen.application, seen.pods, seen.metrics, seen.driver_log)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        # What a batch has outlived is no cause.
        {"driver_log": f"{BROKER}\n{BATCH}"},
        # A quiet topic; alerts that have just come; a stream that is catching up.
        position(committed_at=NOW - timedelta(hours=5)),
        position(next={0: 60, 1: 80}, committed_at=NOW - timedelta(hours=5)),
        position(next={0: 30, 1: 80}),
        position(next={}, committed=-1, planned=-1, written=-1, committed_at=None)
        | {"seen_at": datetime(2026, 1, 1, 20, 1, tzinfo=UTC)},
        # A new partition that no batch has read.
        position(next={0: 90}) | {"topic": replace(TOPIC, due={0: 60, 1: 0})},
        # The first batch is planned, and not written yet.
        position(planned=0, committed=-1, written=-1),
        position(set_aside=8),
        position(read=40, set_aside=40),
        {"position": None},
        {"topic": None},
        {"unanswered": {"events": "forbidden", "store (out of sight)": "no mount"}},
        {"failures": {"t": "some other words: x. y"}},
    ],
)
def test_a_stream_that_is_well_is_left_in_peace(changes):
    assert diagnose(full(**changes)) is None


def test_an_application_that_nobody_takes_up_is_the_operators_absence():
    made = {"metadata": {"name": "new", "creationTimestamp": "2026-01-01T21:59:00Z"}}
    assert diagnose(Evidence(made, seen_at=NOW)).category is Category.OPERATOR_AWAY
    assert diagnose(Evidence(made, seen_at=NOW - timedelta(seconds=40))) is None
    assert diagnose(Evidence(made)) is None


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_two_drivers_are_worse_than_anything_else(phase):
    both = [pod({"phase": "Running"}), pod({"phase": phase}, name="other-driver")]
    found = diagnose(Evidence(application("RUNNING"), both))
    assert found.category is Category.TWO_WRITERS
    assert "other-driver" in str(found)
    ended = pod({"phase": "Succeeded"}, name="other-driver")
    assert diagnose(Evidence(application("RUNNING"), [ended, both[0]])) is None
    assert Evidence(None, [ended, both[0]]).driver is both[0]


def lost(reason="", condition=None, ready="False", phase="Running"):
    conditions = [{"type": "Ready", "status": ready}, *([condition] if condition else [])]
    one = pod({"phase": phase, "conditions": conditions, **({"reason": reason} if reason else {})})
    one["metadata"]["uid"] = "1"
    one["spec"]["nodeName"] = "node-7"
    return one


def not_ready(uid="1"):
    return {
        "reason": "NodeNotReady",
        "message": "Node is not ready",
        "involvedObject": {"uid": uid},
    }


TAINTED = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}


@pytest.mark.parametrize(
    ("driver", "events", "is_lost"),
    [
        (lost(reason="NodeLost", phase="Unknown"), [], True),
        (lost(condition=TAINTED), [], True),
        (lost(), [not_ready()], True),
        (lost(), [not_ready("2")], False),
        (lost(ready="True"), [not_ready()], False),  # the node is back
        (lost(), [], False),
        (lost(condition=EVICTED), [], False),
    ],
)
def test_a_lost_node_is_told_from_pods_and_events_alone(driver, events, is_lost):
    found = diagnose(Evidence(application("RUNNING"), [driver], events=events))
    assert (found is not None and found.category is Category.NODE_LOST) == is_lost
    assert not is_lost or "node-7" in str(found)


@pytest.mark.parametrize(
    ("line", "category"),
    [
        ("Partition alerts-0's offset was changed from 50 to 0.", "offsets-gone"),
        ("UnknownTopicOrPartitionException: This server does not host", "topic-missing"),
        ("Set(alerts-0) are gone. Some data may have been missed.", "topic-missing"),
        ("[CONCURRENT_STREAM_LOG_UPDATE] Concurrent update to the log.", "two-writers"),
        ("AmazonS3Exception: Access Denied (Status Code: 403)", "store-denied"),
        ("SdkClientException: Unable to execute HTTP request", "store-unreachable"),
        ("Lost executor 1: exit code 137(SIGKILL, possible container OOM).", "out-of-memory"),
        ("Lost executor 1: The executor exited with exit code 52(JVM OOM).", "out-of-memory"),
        ("Lost task 0.0: java.lang.OutOfMemoryError: Java heap space", "out-of-memory"),
        ("TimeoutException: Timed out waiting for a node assignment.", "kafka-unreachable"),
    ],
)
def test_a_drivers_words_are_known(line, category):
    assert diagnose(failed("FAILED", log=f"INFO before\n{line}\nINFO after")).category == category


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ("image r/fink:1 is not in the registry; run fink_image", "image-pull"),
        (
            "error: topic t does not exist on k:9092; check the night, or create the topic",
            "topic-missing",
        ),
        (
            "error: Kafka at k:9092 does not answer: x; check FINK_KAFKA_SERVERS",
            "kafka-unreachable",
        ),
        ("store s3a://f cannot be read: x; check FINK_STORE_ENDPOINT and", "store-unreachable"),
    ],
)
def test_what_preflight_refuses_has_a_category(said, category):
    assert diagnose(Evidence(None, failures={"check_prerequisites": said})).category == category


def test_the_driver_tells_more_of_its_end_than_its_exit_code():
    code = "driver container failed with ExitCode: 3, Reason: Error"
    reason = "s3a://fink/raw holds batches up to 3; they are not one pair: bring back the two"
    log = json.dumps({"stream2raw": "refused", "reason": reason})
    assert reason[:30] in str(diagnose(failed("FAILED", code, log)))
    assert diagnose(failed("FAILED", code)).category is Category.PAIR_BROKEN
    # Of a submission that failed the driver before it knows nothing.
    assert diagnose(failed("SUBMISSION_FAILED", QUOTA, BROKER)).category is Category.QUOTA


def test_the_job_s_own_reason_is_more_than_the_warnings_before_it():
    reason = '{"stream2raw": "failed", "reason": "Cannot fetch offset 57"}'
    seen = failed("FAILED", log=f"{BROKER}\n{reason}\nWARN AccessDenied at shutdown")
    assert diagnose(seen).category is Category.OFFSETS_GONE
    # A driver that fails long after a warning fails for another cause.
    seen = failed("FAILED", log=f"{BROKER}\n{BATCH}\nsomething else: Error")
    assert diagnose(seen).category is Category.DRIVER_FAILED


def test_the_run_s_own_words_outlive_the_driver_that_said_them():
    said = "[right-missing] an account: pods is forbidden. Run fink_rbac"
    seen = replace(failed("FAILED", "driver failed"), failures={"wait": "", "submit": said})
    assert str(diagnose(seen)) == said


@pytest.mark.parametrize("line", ["", "no category: a. b", "[unheard-of] a: b. c", "[quota] cut"])
def test_a_line_that_names_no_category_is_no_diagnosis(line):
    assert diagnosis_from(line) is None


def test_the_job_s_command_line_is_found_whichever_way_it_came():
    words = ["-servers", "kafka:9092", "-topic", r"a\.b"]
    known = {"-servers": "kafka:9092", "-topic": r"a\.b"}
    assert Evidence({"spec": {"arguments": words}}).flags == known
    driver = pod({"phase": "Running"})
    driver["spec"]["containers"][0]["args"] = ["driver", "local:///job.py", *words]
    assert Evidence(None, [driver]).flags == known
    assert Evidence(None).flags == {}


@pytest.mark.parametrize(
    "words",
    ['persistentvolumeclaim "raw" not found', "pod has unbound immediate PersistentVolumeClaims"],
)
def test_a_pod_without_its_claim_is_not_told_to_ask_for_less(words):
    seen = submitted(unschedulable(f"0/1 nodes are available: {words}. not found"))
    line = str(diagnose(seen))
    assert line.startswith(
        f"[unschedulable] the volume claim of {DRIVER} is missing or not bound: "
    )
    assert words in line
    assert "Create the claim that FINK_STORE_PREFIX names (create_claim)" in line
    assert "Ask for less" not in line


SLOW = {
    "next": {0: 30, 1: 80},
    "earlier_at": NOW - timedelta(seconds=310),
    "earlier_read": 140,
}


@pytest.mark.parametrize(
    ("changes", "is_late"),
    [
        (SLOW, True),  # 30 came in five minutes, 30 were read
        (SLOW | {"earlier_read": 130}, False),  # it catches up
        (SLOW | {"next": {0: 90, 1: 80}}, False),  # nothing waits
        (SLOW | {"next": {0: 65, 1: 80}}, False),  # what waits has just come
        (SLOW | {"earlier_at": None}, False),  # of one batch there is no pace
    ],
)
def test_a_stream_that_is_slower_than_its_alerts_is_late(changes, is_late):
    found = diagnose(full(**position(**changes)))
    assert (found is not None and found.category is Category.LATE) == is_late
    assert (
        not is_late
        or "0.1 alerts arrive per second, 0.1 are stored; 30 alerts have waited" in str(found)
    )


def test_a_stream_is_stalled_rather_than_late_where_no_batch_ends():
    changes = SLOW | {"committed_at": NOW - timedelta(minutes=20)}
    changes |= {"earlier_at": NOW - timedelta(minutes=26)}
    assert diagnose(full(**position(**changes))).category is Category.STALLED


def test_lateness_is_told_of_a_driver_that_has_had_the_time():
    young = full(**position(**SLOW))
    running = {"running": {"startedAt": (NOW - timedelta(minutes=4)).isoformat()}}
    driver = pod({"phase": "Running", "containerStatuses": [{"state": running}]})
    assert diagnose(replace(young, pods=[driver])) is None


def test_alerts_that_wait_while_none_come_any_more_are_no_lateness():
    quiet = replace(TOPIC, due=TOPIC.ends)
    assert diagnose(full(**position(**SLOW), topic=quiet)) is None


def looping(starts=4, took=40, ago=30, state="PENDING_RERUN", log=""):
    last = NOW - timedelta(seconds=ago)
    seen = application(state, "driver container failed with ExitCode: 1")
    seen["metadata"]["creationTimestamp"] = (last - timedelta(seconds=took)).isoformat()
    seen["status"] |= {"executionAttempts": starts, "lastSubmissionAttemptTime": last.isoformat()}
    return Evidence(seen, seen_at=NOW, driver_log=log)


@pytest.mark.parametrize(
    ("evidence", "category"),
    [
        (looping(), "crash-loop"),
        (looping(state="FAILED"), "crash-loop"),
        (looping(state="RUNNING"), "crash-loop"),  # the last one has only just begun
        (looping(starts=3, took=600), "crash-loop"),
        (looping(starts=2), "driver-failed"),
        (looping(took=7200), "driver-failed"),  # three restarts in a long night
        (looping(ago=900, state="RUNNING"), None),  # the last one has lived for long
        (looping(state="COMPLETED"), None),
        (looping(log="Lost task: java.lang.OutOfMemoryError"), "out-of-memory"),
        (replace(looping(), seen_at=None), "driver-failed"),  # a quick look has no clock
        (Evidence(application("PENDING_RERUN"), seen_at=NOW), "driver-failed"),
    ],
)
def test_a_driver_that_is_started_again_and_again_is_a_loop(evidence, category):
    found = diagnose(evidence)
    assert (found and found.category) == category


def test_a_driver_that_was_taken_away_is_told_from_one_that_ended():
    echo = "Caused by: KubernetesClientException: Message: Unauthorized!"
    found = diagnose(failed("FAILING", "driver pod not found", echo))
    assert (found.category, found.summary) == (
        Category.DRIVER_FAILED,
        "the driver's pod was deleted",
    )


def test_a_driver_that_was_killed_has_no_last_words_of_its_end():
    log = '{"stream2raw": "started"}\n\r[Stage 1:>   (0 + 1) / 4]\r'
    killed = failed("FAILING", "driver container status missing", log)
    assert diagnose(killed).detail == "driver container status missing"
    silent = failed("FAILING", log=log)
    assert diagnose(silent).detail == '{"stream2raw": "started"}'


def test_a_loop_tells_how_often_how_fast_and_the_last_words():
    said = str(diagnose(looping(log=LOG)))
    assert "4 starts within 40 s; Caused by: IllegalStateException: no topic" in said
    assert "ExitCode: 1" in str(diagnose(looping()))


def test_an_executor_that_the_kernel_killed_is_named_by_a_full_look():
    seen = full()
    dead = pod(terminated("OOMKilled", 137), name="s-exec-8", role="executor")
    found = diagnose(replace(seen, pods=[*seen.pods, dead]))
    assert found.category is Category.OUT_OF_MEMORY
    assert "s-exec-8" in found.detail
    # A quick look must not call a stream troubled whose query goes on.
    assert diagnose(Evidence(seen.application, [*seen.pods, dead], GAUGES)) is None


def test_an_executor_that_ended_otherwise_is_nothing_to_speak_of():
    seen = full()
    ended = pod(terminated("Error", 1), name="s-exec-8", role="executor")
    assert diagnose(replace(seen, pods=[*seen.pods, ended])) is None
