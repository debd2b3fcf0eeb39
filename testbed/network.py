"""The node's address, the pods' bridge, and a network namespace for each test server."""

import json
import subprocess
from pathlib import Path

from testbed import pins
from testbed.process import run

NAMESPACES = {"fink-kafka": pins.KAFKA_ADDRESS, "fink-s3": pins.STORE_ADDRESS}


def up() -> None:
    """Create what does not exist yet; safe to repeat."""
    if pins.NODE_ADDRESS not in _addresses("lo"):
        # Not every kernel has dummy interfaces, so the node's address is on the loopback device.
        run("ip", "addr", "add", f"{pins.NODE_ADDRESS}/32", "dev", "lo")
    if not _has_link(pins.BRIDGE):
        run("ip", "link", "add", pins.BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{pins.BRIDGE_ADDRESS}/24", "dev", pins.BRIDGE)
    run("ip", "link", "set", pins.BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for name, address in NAMESPACES.items():
        _make_namespace(name, address)


def down() -> None:
    """Remove all that `up` created, and the firewall rules of kube-proxy and CNI."""
    for name in NAMESPACES:
        if _has_link(name):
            # It would be deleted with its namespace as well, but only some time later.
            run("ip", "link", "delete", name)
        if name in _namespaces():
            run("ip", "netns", "delete", name)
        (Path("/etc/netns") / name / "resolv.conf").unlink(missing_ok=True)
        for folder in (Path("/etc/netns") / name, Path("/etc/netns")):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
    for bridge in (
        pins.BRIDGE,
        pins.COMPOSE_BRIDGE,
    ):  # an engine that crashed leaves the second one behind
        if _has_link(bridge):
            run("ip", "link", "delete", bridge)
    if pins.NODE_ADDRESS in _addresses("lo"):
        run("ip", "addr", "delete", f"{pins.NODE_ADDRESS}/32", "dev", "lo")
    for family in ("iptables", "ip6tables"):
        _clean_firewall(family)


def leftovers() -> list[str]:
    """Return the names of the parts of the network that still exist."""
    found = [name for name in NAMESPACES if name in _namespaces()]
    found += [bridge for bridge in (pins.BRIDGE, pins.COMPOSE_BRIDGE) if _has_link(bridge)]
    if pins.NODE_ADDRESS in _addresses("lo"):
        found.append(pins.NODE_ADDRESS)
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    found += [line for line in saved.splitlines() if _is_ours(line)]
    return found


def _make_namespace(name: str, address: str) -> None:
    if name in _namespaces():
        return
    # Without its own resolver, reverse lookups inside would hang on the host's resolver.
    folder = Path("/etc/netns") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "resolv.conf").write_text("options timeout:1 attempts:1\n")
    run("ip", "netns", "add", name)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", name, "master", pins.BRIDGE, "up")
    inside = ("ip", "-n", name)
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")
    run(*inside, "route", "add", "default", "via", pins.BRIDGE_ADDRESS)


def _clean_firewall(family: str) -> None:
    saved = subprocess.run([f"{family}-save"], capture_output=True, text=True, check=False)
    lines = saved.stdout.splitlines()
    if saved.returncode == 0 and any(map(_is_ours, lines)):
        kept = "\n".join(line for line in lines if not _is_ours(line))
        run(f"{family}-restore", stdin=kept + "\n")


def _is_ours(rule: str) -> bool:
    return "KUBE-" in rule or "CNI-" in rule


def _has_link(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


def _namespaces() -> set[str]:
    return {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line}


def _addresses(device: str) -> set[str]:
    links = json.loads(run("ip", "-j", "addr", "show", "dev", device))
    return {entry["local"] for link in links for entry in link["addr_info"]}
