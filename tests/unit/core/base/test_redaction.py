import json

import pytest

from fink_k8s.core.base.redaction import redact, redacted

CANARY = "c4n4ry-0f-a-secret"


@pytest.mark.parametrize(
    "text",
    [
        f"AWS_SECRET_ACCESS_KEY={CANARY}",
        f"fs.s3a.secret.key = {CANARY} and more",
        f'{{"secret-key": "{CANARY}"}}',
        f"sasl.jaas.config=o.a.k.PlainLoginModule required username=u password={CANARY};",
        f'kafka.sasl.jaas.config: X required password="{CANARY}";',
        f"org.apache.X required username='u' password='{CANARY}' a='b'",
        f"http://user:{CANARY}@host/path",
        f"Authorization: Bearer {CANARY}",
        f"token: {CANARY}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
    ],
)
def test_what_its_own_words_call_a_secret_is_hidden(text):
    assert CANARY not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize("text", [f"a {CANARY} b", f"{CANARY}{CANARY}", json.dumps({"x": CANARY})])
def test_a_known_value_is_hidden_wherever_it_is(text):
    assert CANARY in redact(text)
    assert CANARY not in redact(text, [CANARY])


def test_a_short_value_would_hide_words_that_are_none():
    assert redact("key of spark", ["spark", ""]) == "key of spark"


@pytest.mark.parametrize(
    "text",
    [
        'secret "fink-store" not found',
        "couldn't find key access-key in Secret spark/fink-store",
        "Put the keys into the Secret that FINK_STORE_SECRET names",
        'serviceaccount "spark" not found',
        "http://10.0.0.1:7070/fink",
    ],
)
def test_what_a_diagnosis_is_made_of_stays(text):
    assert redact(text) == text


def test_objects_keep_references_and_lose_values():
    reference = {"secretKeyRef": {"name": "fink-store", "key": "access-key"}}
    pod = {
        "metadata": {
            "managedFields": [1],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY, "a": "b"},
        },
        "spec": {
            "env": [
                {"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY},
                {"name": "AWS_ACCESS_KEY_ID", "valueFrom": reference},
                {"name": "PLAIN", "value": "word"},
            ],
            "sparkConf": {
                "spark.hadoop.fs.s3a.secret.key": CANARY,
                "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.Provider",
            },
            "args": ["-servers", f"password={CANARY}"],
        },
    }
    seen = redacted(pod)
    assert CANARY not in json.dumps(seen)
    assert seen["metadata"] == {"annotations": {"a": "b"}}
    assert seen["spec"]["env"][1] == {"name": "AWS_ACCESS_KEY_ID", "valueFrom": reference}
    assert seen["spec"]["env"][2] == {"name": "PLAIN", "value": "word"}
    provider = seen["spec"]["sparkConf"]["spark.hadoop.fs.s3a.aws.credentials.provider"]
    assert provider == "com.amazonaws.Provider"
    assert redacted(None) is None
    assert redacted({"count": 3}) == {"count": 3}


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["x", " ", "=", "secret", "a:", "://", "'", "jaas", "-----BEGIN "]
)
def test_a_long_line_takes_no_long_time(piece):
    redact(piece * 60_000)
