"""The testbed comes and goes: nothing is left behind, also after a crash half-way. Runs last."""

import os
import signal
import subprocess
import sys

import pytest

from testbed import bed, network, node
from testbed.process import recorded, running, wait_for

pytestmark = [pytest.mark.testbed, pytest.mark.testbed_lifecycle, pytest.mark.timeout(600)]


def command_line(command):
    done = subprocess.run(
        [sys.executable, "-m", "testbed", command], capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr)  # noqa: T201
    return done


def traces():
    """Return what the machine itself says is there, whatever the testbed has written down."""
    mounts = [line for line in open("/proc/mounts") if "fink-testbed" in line]  # noqa: SIM115, PTH123
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout
    addresses = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True).stdout
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout
    processes = [
        entry
        for entry in os.listdir("/proc")  # noqa: PTH208
        if entry.isdigit() and b"fink-testbed" in command_of(entry)
    ]
    return {
        "mounts": mounts,
        "links": [line for line in links.splitlines() if "cni0" in line or "veth" in line],
        "addresses": [a for a in addresses.splitlines() if "10.200.0." in a or "10.244." in a],
        "rules": [rule for rule in rules.splitlines() if "KUBE-" in rule or "10.244." in rule],
        "processes": processes,
    }


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


def test_after_a_crash_half_way_down_leaves_nothing_and_up_works(environment):
    assert traces()["processes"], "the testbed runs, and these looks can see it"
    parts = {"kube-apiserver", "containerd", "kubelet"}
    for part in parts:
        os.kill(running(part), signal.SIGKILL)
    wait_for("their end", lambda: bed.died().keys() == parts, 10)
    assert all(bed.died().values()), "each has last words"
    done = command_line("down")
    assert done.returncode == 0, done.stderr
    assert bed.leftovers() == []
    assert all(not found for found in traces().values()), traces()
    assert command_line("up").returncode == 0
    assert command_line("status").returncode == 0


def test_down_twice_is_safe():
    assert command_line("down").returncode == 0
    assert command_line("down").returncode == 0
    assert not recorded()
    assert not node.leftovers()
    assert not network.leftovers()
    assert all(not found for found in traces().values()), traces()
