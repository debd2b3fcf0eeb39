"""The look at `restricted` finds each breach, so that a pod without one is proof."""

from copy import deepcopy

import pytest

from tests.pod_security import breaches_of_restricted

SECCOMP = {"seccompProfile": {"type": "RuntimeDefault"}}
MEETS = {
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 185, **SECCOMP},
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "token", "projected": {}}],
        "containers": [
            {
                "name": "driver",
                "ports": [{"containerPort": 4040}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                },
            }
        ],
    }
}


def changed(pod=(), container=(), context=(), of_pod=()):
    """Return the pod that meets the standard, with other fields at each of its levels."""
    spec = deepcopy(MEETS["spec"])
    [one] = spec["containers"]
    one["securityContext"] |= dict(context)
    spec["containers"] = [{**one, **dict(container)}]
    spec["securityContext"] |= dict(of_pod)
    return {"spec": {**spec, **dict(pod)}}


@pytest.mark.parametrize(
    "change",
    [{}, {"of_pod": {"seccompProfile": None}, "context": SECCOMP}, {"pod": {"volumes": None}}],
)
def test_a_pod_that_meets_it_has_no_breach(change):
    assert breaches_of_restricted(changed(**change)) == []


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"pod": {"hostNetwork": True}}, "hostNetwork"),
        ({"pod": {"hostPID": True}}, "hostPID"),
        ({"pod": {"hostIPC": True}}, "hostIPC"),
        ({"pod": {"volumes": [{"name": "v", "hostPath": {}}]}}, "v: hostPath"),
        ({"container": {"ports": [{"hostPort": 4040}]}}, "driver: hostPort"),
        ({"context": {"privileged": True}}, "driver: privileged"),
        ({"context": {"allowPrivilegeEscalation": None}}, "driver: allowPrivilegeEscalation"),
        ({"context": {"runAsNonRoot": False}}, "driver: runAsNonRoot"),
        ({"of_pod": {"runAsNonRoot": None}}, "driver: runAsNonRoot"),
        ({"context": {"runAsUser": 0}}, "driver: runAsUser"),
        ({"of_pod": {"seccompProfile": {"type": "Unconfined"}}}, "driver: seccompProfile"),
        ({"context": {"capabilities": {"drop": ["NET_RAW"]}}}, "driver: capabilities.drop"),
        (
            {"context": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}},
            "driver: capabilities.add",
        ),
    ],
)
def test_each_breach_is_found_alone(change, breach):
    assert breaches_of_restricted(changed(**change)) == [breach]


def test_of_several_containers_each_is_looked_at():
    bare = {"name": "init"}
    found = breaches_of_restricted(changed(pod={"initContainers": [bare]}))
    assert found == ["init: allowPrivilegeEscalation", "init: capabilities.drop"]
