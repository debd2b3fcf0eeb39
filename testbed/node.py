"""The node: etcd, control plane, containerd, kubelet, kube-proxy and CoreDNS on the host."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

from testbed import pins
from testbed.certificates import Authority
from testbed.places import DATA, KUBECONFIG, STATE
from testbed.process import processes_with, run, start, stop, wait_for

CONTAINERD_SOCKET = STATE / "containerd/containerd.sock"
KUBELET = DATA / "kubelet"
PKI = STATE / "pki"
# In the order in which they start; `down` goes backwards.
PARTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
)


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the cluster's administrator and return its output."""
    program = shutil.which("kubectl") or str(
        Path(__file__).resolve().parents[1] / ".venv/bin/kubectl"
    )
    return run(program, f"--kubeconfig={KUBECONFIG}", *arguments, stdin=stdin)


def up(program: Path, pause: Path) -> None:
    """Start every part of the node that does not run, and wait until it is Ready."""
    binaries = _links_to(program)
    authority = Authority(PKI)
    _start_control_plane(binaries, authority)
    _start_containerd()
    _start_agents(binaries, authority)
    wait_for("the node", _is_ready, 90, "kubelet")


def down() -> None:
    """Stop the node: its pods first, then its parts, backwards."""
    for name in ("kubelet", "kube-proxy", "coredns"):
        stop(name)
    _kill_pods()
    for name in reversed(PARTS):
        # The API server waits up to a minute for open requests; nobody needs them here.
        stop(name, patience=5 if name == "kube-apiserver" else 20)
    _unmount(STATE, DATA)
    _remove_cgroups()


def leftovers() -> list[str]:
    """Return mounts and processes that still exist."""
    mounts = [path for path in _mounts() if path.startswith((str(STATE), str(DATA)))]
    return mounts + [f"shim {shim.pid}" for shim in processes_with(str(CONTAINERD_SOCKET))]


def _links_to(program: Path) -> Path:
    """Return a folder with a link to the one program for each of its names."""
    folder = STATE / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        link = folder / name
        if name != "containerd" and not link.is_symlink():
            link.symlink_to(program)
    return folder


def _start_control_plane(binaries: Path, authority: Authority) -> None:
    node = pins.NODE_ADDRESS
    server_crt, server_key = authority.issue(
        "apiserver",
        "kube-apiserver",
        hosts=(
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
            "127.0.0.1",
            node,
            "10.96.0.1",
        ),
    )
    kubelet_crt, kubelet_key = authority.issue(
        "kubelet-client", "apiserver-kubelet", ("system:masters",)
    )
    sa_crt, sa_key = authority.issue("service-accounts", "service-accounts")
    start("etcd", [
        binaries / "etcd", f"--data-dir={DATA}/etcd", "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync", "--logger=zap", "--log-level=warn",
    ])  # fmt: skip
    start("kube-apiserver", [
        binaries / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={node}", f"--bind-address={node}", "--secure-port=6443",
        f"--service-cluster-ip-range={pins.SERVICE_SUBNET}", "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={authority.certificate_file}",
        f"--tls-cert-file={server_crt}", f"--tls-private-key-file={server_key}",
        f"--kubelet-client-certificate={kubelet_crt}", f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={sa_crt}", f"--service-account-signing-key-file={sa_key}",
        "--allow-privileged=true",
    ])  # fmt: skip
    authority.kubeconfig(KUBECONFIG, pins.API_SERVER, "admin", ("system:masters",))
    wait_for(
        "the API server", lambda: kubectl("get", "--raw", "/readyz") == "ok", 90, "kube-apiserver"
    )
    manager = authority.kubeconfig(
        PKI / "controller-manager.kubeconfig", pins.API_SERVER, "system:kube-controller-manager"
    )
    start("kube-controller-manager", [
        binaries / "kube-controller-manager", f"--kubeconfig={manager}", "--leader-elect=false",
        "--use-service-account-credentials", f"--root-ca-file={authority.certificate_file}",
        f"--service-account-private-key-file={sa_key}", f"--cluster-cidr={pins.POD_SUBNET}",
        "--bind-address=127.0.0.1",
    ])  # fmt: skip
    scheduler = authority.kubeconfig(
        PKI / "scheduler.kubeconfig", pins.API_SERVER, "system:kube-scheduler"
    )
    start("kube-scheduler", [
        binaries / "kube-scheduler", f"--kubeconfig={scheduler}", "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ])  # fmt: skip


def _start_containerd() -> None:
    """Start the node's own containerd, separate from that of the Docker engine."""
    etc = STATE / "containerd"
    hosts = etc / "certs.d" / pins.REGISTRY
    hosts.mkdir(parents=True, exist_ok=True)
    (hosts / "hosts.toml").write_text(
        f'server = "http://{pins.REGISTRY}"\n[host."http://{pins.REGISTRY}"]\n'
        '  capabilities = ["pull", "resolve"]\n'
    )
    cni = etc / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "10-fink.conflist").write_text(json.dumps(_cni_configuration()))
    (etc / "config.toml").write_text(f"""\
version = 2
root = "{DATA}/containerd"
state = "{STATE}/containerd/state"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pins.REGISTRY}/fink/pause:{pins.PAUSE}"
  # Machines without CAP_SYS_RESOURCE cannot lower a process's oom_score_adj.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{etc}/certs.d"
""")
    start("containerd", ["containerd", "--config", etc / "config.toml"])
    wait_for("containerd", CONTAINERD_SOCKET.exists, 30, "containerd")


def _cni_configuration() -> dict[str, object]:
    first, last = pins.POD_RANGE
    return {
        "cniVersion": "1.0.0",
        "name": "fink",
        "plugins": [
            {
                "type": "bridge",
                "bridge": pins.BRIDGE,
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(STATE / "cni"),
                    "ranges": [[{
                        "subnet": pins.POD_SUBNET,
                        "rangeStart": first,
                        "rangeEnd": last,
                        "gateway": pins.BRIDGE_ADDRESS,
                    }]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }  # fmt: skip


def _start_agents(binaries: Path, authority: Authority) -> None:
    user = f"system:node:{pins.NODE_NAME}"
    kubeconfig = authority.kubeconfig(
        PKI / "kubelet.kubeconfig", pins.API_SERVER, user, ("system:nodes",)
    )
    resolver = STATE / "resolv.conf"
    resolver.write_text("")  # pods use only CoreDNS: there is no other resolver here
    config = STATE / "kubelet.yaml"
    config.write_text(yaml.safe_dump({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.certificate_file)},
        },
        "authorization": {"mode": "Webhook"},
        "address": pins.NODE_ADDRESS,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "clusterDNS": [pins.NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": str(resolver),
        "healthzBindAddress": "127.0.0.1",
        "evictionHard": {
            "memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 99,
        "imageGCLowThresholdPercent": 98,
        "podLogsDir": str(DATA / "pod-logs"),
    }))  # fmt: skip
    start("kubelet", [
        binaries / "kubelet", f"--config={config}", f"--kubeconfig={kubeconfig}",
        f"--root-dir={KUBELET}", f"--hostname-override={pins.NODE_NAME}",
        f"--node-ip={pins.NODE_ADDRESS}", f"--cert-dir={STATE}/pki/kubelet",
    ])  # fmt: skip
    proxy = authority.kubeconfig(PKI / "proxy.kubeconfig", pins.API_SERVER, "system:kube-proxy")
    start("kube-proxy", [
        binaries / "kube-proxy", f"--kubeconfig={proxy}", "--proxy-mode=iptables",
        f"--hostname-override={pins.NODE_NAME}", f"--cluster-cidr={pins.POD_SUBNET}",
        # For two pods on one bridge: without it, replies do not come from the service's address.
        "--masquerade-all", "--conntrack-max-per-core=0", "--healthz-bind-address=127.0.0.1",
        "--metrics-bind-address=127.0.0.1:10249",
    ])  # fmt: skip
    dns = authority.kubeconfig(
        PKI / "coredns.kubeconfig", pins.API_SERVER, "coredns", ("system:masters",)
    )
    corefile = STATE / "Corefile"
    corefile.write_text(f"""\
.:53 {{
    bind {pins.NODE_ADDRESS}
    errors
    health {pins.NODE_ADDRESS}:8081
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {dns}
        pods insecure
    }}
    cache 10
}}
""")
    start("coredns", [binaries / "coredns", "-conf", corefile])


def _is_ready() -> bool:
    node = json.loads(kubectl("get", "node", pins.NODE_NAME, "-o", "json"))
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def _kill_pods() -> None:
    """Stop what runs in containers: the children of our own containerd's shims, then the shims."""
    for shim in processes_with(str(CONTAINERD_SOCKET)):
        with suppress(psutil.NoSuchProcess):
            for container in shim.children():
                with suppress(psutil.NoSuchProcess):
                    container.kill()
            shim.kill()


def _mounts() -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1].replace("\\040", " ") for line in lines]


def _unmount(*folders: Path) -> None:
    inside = tuple(f"{folder}/" for folder in folders)
    for path in reversed([path for path in _mounts() if path.startswith(inside)]):
        run("umount", "--lazy", path)


def _remove_cgroups() -> None:
    for root in Path("/sys/fs/cgroup").glob("*/kubepods"):
        for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
            _remove_cgroup(folder)
        _remove_cgroup(root)


def _remove_cgroup(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # a process is still exiting; the kernel removes the group with it
        return
