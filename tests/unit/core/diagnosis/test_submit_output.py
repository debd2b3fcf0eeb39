"""What spark-submit says when it fails becomes one line, whatever stack it is in."""

import pytest

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.submit_output import diagnose_submission, lost_the_race, may_pass

HEAD = "26/11/25 01:13:32 INFO KerberosConfDriverFeatureStep: no krb5.conf\n"
FRAME = "\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)\n"
API = "io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: X. "
FORBIDDEN = (
    'Message: Forbidden! User airflow doesn\'t have permission. pods is forbidden: User "airflow" '
    'cannot create resource "pods" in API group "" in the namespace "spark".'
)
EXISTS = (
    'Message: pods "stream2raw-ztf-20040101-driver" already exists. Received status: '
    "Status(apiVersion=v1, code=409, reason=AlreadyExists, status=Failure)."
)
QUOTA = 'Message: pods "x-driver" is forbidden: exceeded quota: nothing, requested: pods=1.'
RESTRICTED = 'Message: pods "x" is forbidden: violates PodSecurity "restricted:latest": x.'


def stack(message):
    return f'{HEAD}Exception in thread "main" {API}{message}\n{FRAME}Caused by: {API}{message}\n'


@pytest.mark.parametrize(
    ("output", "category", "words", "remedy"),
    [
        (stack(FORBIDDEN), Category.RIGHT_MISSING, 'create resource "pods"', "submit.yaml"),
        (stack(QUOTA), Category.QUOTA, "exceeded quota: nothing", "raise the quota"),
        (stack(RESTRICTED), Category.SUBMISSION_FAILED, "violates PodSecurity", "trigger again"),
        (
            f'{HEAD}Exception in thread "main" X: An error\n{FRAME}'
            "Caused by: java.net.UnknownHostException: nowhere\n26/11/25 INFO ShutdownHook\n",
            Category.SUBMISSION_FAILED,
            "UnknownHostException: nowhere",
            "trigger again",
        ),
        (
            "/x/bin/spark-class: line 71: java: command not found\nError: no JVM\n",
            Category.SUBMISSION_FAILED,
            "no JVM",
            "trigger again",
        ),
        ("", Category.SUBMISSION_FAILED, "it printed nothing", "trigger again"),
    ],
)
def test_a_failed_submission_has_one_cause_in_one_line(output, category, words, remedy):
    found = diagnose_submission(output)
    assert found.category is category
    assert words in str(found)
    assert remedy in str(found)
    assert "\n" not in str(found)
    assert "Received status" not in str(found)
    assert len(str(found)) < 1000


def test_a_driver_of_that_name_is_a_lost_race_and_no_failure():
    assert lost_the_race(stack(EXISTS))
    assert not lost_the_race(stack(QUOTA))
    assert not lost_the_race("")


@pytest.mark.parametrize(
    ("cause", "passes"),
    [
        ("java.net.ConnectException: Connection refused", True),
        ("java.net.SocketTimeoutException: connect timed out", True),
        ("java.util.concurrent.TimeoutException: timeout after 30000 millis", True),
        ("java.net.UnknownHostException: nowhere", False),
        ("java.lang.ClassNotFoundException: no.such.Step", False),
    ],
)
def test_only_an_api_server_that_did_not_answer_is_tried_again(cause, passes):
    output = f'Exception in thread "main" X: An error\n{FRAME}Caused by: {cause}\n'
    assert may_pass(output) is passes
    assert cause in str(diagnose_submission(output))
