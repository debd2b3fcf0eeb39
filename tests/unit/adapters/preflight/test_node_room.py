from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_k8s.adapters.preflight.node_room import free_room

MIB, GIB = 2**20, 2**30
UNITS = {"": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3}
UNITS |= {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}


def node(name, cpu="4", memory="8Gi", **spec):
    allocatable = {"cpu": cpu, "memory": memory, "pods": "110"}
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {"allocatable": allocatable},
    }


def pod(node_name, *requests, phase="Running"):
    containers = [{"resources": {"requests": one} if one else {}} for one in requests]
    spec = {"containers": containers, **({"nodeName": node_name} if node_name else {})}
    return {"spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("2", 2),
        ("0.5", 0.5),
        ("300m", 0.3),
        ("128974848", 128974848),
        ("128974848000m", 128974848),
        ("129M", 129e6),
        ("123Mi", 123 * MIB),
        ("1.5Gi", 1.5 * GIB),
        ("16384Ki", 16 * MIB),
        ("1e3", 1000),
        ("1E3", 1000),
        ("100u", 1e-4),
        ("5n", 5e-9),
        ("1P", 1e15),
        ("1Pi", 2**50),
    ],
)
def test_a_quantity_is_a_number(text, value):
    cpu, memory = free_room([node("a", text, text)], ())["a"]
    assert float(cpu) == pytest.approx(value, rel=1e-12)
    assert memory == int(value)


@settings(deadline=None)
@given(st.decimals(0, 10**9, places=3, allow_nan=False), st.sampled_from(sorted(UNITS)))
def test_a_quantity_is_its_number_times_its_unit(number, unit):
    expected = float(number) * UNITS[unit]
    cpu, _ = free_room([node("a", f"{number:f}{unit}")], ())["a"]
    assert float(cpu) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("text", ["", "Gi", "1GB", "1gi", "1Gi\n", ".", "1.2.3", "one"])
def test_what_is_not_a_quantity_is_refused(text):
    with pytest.raises(ValueError):
        free_room([node("a", "1", text)], ())


def test_free_room_is_what_the_living_pods_leave():
    pods = [
        pod("a", {"cpu": "500m", "memory": "1Gi"}, {"cpu": "1"}),
        pod("a", {"memory": "1Gi"}, phase="Pending"),
        pod("a", {"cpu": "2", "memory": "4Gi"}, phase="Succeeded"),
        pod("a", {"cpu": "2", "memory": "4Gi"}, phase="Failed"),
        pod("a", None),
        pod("b", {"cpu": "1", "memory": "512Mi"}),
        pod("", {"cpu": "1", "memory": "1Gi"}, phase="Pending"),
        pod("gone", {"cpu": "1", "memory": "1Gi"}),
    ]
    free = free_room([node("a"), node("b", "2", "1048576Ki")], pods)
    assert free == {"a": (2.5, 6 * GIB), "b": (1.0, 512 * MIB)}


def test_room_is_exact():
    pods = [pod("a", {"cpu": "300m"})] * 3
    assert free_room([node("a", "1200m")], pods)["a"][0] == Decimal("0.3")


def test_a_cordoned_node_has_no_room():
    nodes = [node("a", unschedulable=True), node("b", unschedulable=False)]
    assert set(free_room(nodes, [pod("a", {"cpu": "1"})])) == {"b"}


def test_a_node_that_takes_no_pods_has_no_room():
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    assert free_room([node("a", taints=[taint])], []) == {}
