"""In-memory stand-ins for the systems that the project talks to."""

import hashlib
import json
import tarfile
from bisect import bisect_left
from copy import deepcopy
from pathlib import Path

import httpx

from fink_k8s.adapters.base.cluster import Access
from fink_k8s.core.base.errors import Conflict
from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stream.stream_names import parse_stream_name

OWN_SCHEMA = str(Path(__file__).parents[1] / "include/stream2raw/schemas/ztf_3p3.avsc")


class FakeCluster:
    """What `fink_k8s.adapters.base.cluster.Cluster` offers, over a dict of objects.

    `rights` holds what any account may do, as (verb, resource, namespace). A deleted object is
    seen `lingers` more times, as one with finalizers is. `ended` records (name, grace) of what was
    ended; pods named in `stubborn` go only when they are struck out with a grace of 0.
    """

    def __init__(self, *objects, pods=(), rights=(), lingers=0):
        self.objects = {}
        self.all_pods = list(pods)
        self.rights = set(rights)
        self.lingers = lingers
        self.dying = {}
        self.ended = []
        self.stubborn = set()
        self.log = ""
        self.logs = {}
        self.all_events = []
        self.metrics = None
        self.minor = "1.34"
        self.token = "canary-of-the-account"
        self.verifies_tls = True
        self.has_crd = True
        self.all_deployments = []
        self.all_nodes = []
        self.all_classes = []
        for one in objects:
            self.put(one)

    def put(self, manifest):
        self.objects[self._key(manifest)] = deepcopy(manifest)

    def version(self):
        return self.minor

    def find(self, kind, name, namespace=""):
        if kind == "Pod":
            return next((p for p in self.pods(namespace) if p["metadata"]["name"] == name), None)
        key = (kind, namespace, name)
        if key in self.dying:
            self.dying[key] -= 1
            if self.dying[key] < 0:
                del self.dying[key], self.objects[key]
        return deepcopy(self.objects.get(key))

    def find_all(self, kind, namespace):
        there = [*self.objects.values(), *({**pod, "kind": "Pod"} for pod in self.all_pods)]
        return [
            deepcopy(one)
            for one in there
            if (one["kind"], one["metadata"].get("namespace")) == (kind, namespace)
        ]

    def crd_exists(self):
        return self.has_crd

    def deployments(self, namespace):
        return [one for one in self.all_deployments if one["metadata"]["namespace"] == namespace]

    def nodes(self):
        return self.all_nodes

    def storage_classes(self):
        return self.all_classes

    def pods(self, namespace="", selector=""):
        wanted = dict(term.split("=") for term in selector.split(",") if term)
        return [
            pod
            for pod in self.all_pods
            if namespace in ("", pod["metadata"]["namespace"])
            and wanted.items() <= pod["metadata"]["labels"].items()
        ]

    def apply(self, manifest):
        changed = self.objects.get(self._key(manifest)) != manifest
        self.put(manifest)
        return changed

    def create(self, manifest):
        if self._key(manifest) in self.objects:
            raise Conflict(f"{manifest['metadata']['name']} already exists")
        self.put(manifest)
        return deepcopy(manifest)

    def delete(self, kind, name, namespace="", uid=""):
        if pod := kind == "Pod" and self.find(kind, name, namespace):
            self.all_pods.remove(pod)
            return True
        key = (kind, namespace, name)
        if key not in self.objects:
            return False
        self.dying[key] = self.lingers
        return True

    def end(self, there, grace_seconds=None):
        name = there["metadata"]["name"]
        self.ended.append((name, grace_seconds))
        if there["kind"] != "Pod":
            one = self.objects.get(self._key(there))
            if one is None or one["metadata"].get("uid") != there["metadata"].get("uid"):
                return False
            if one["metadata"].get("finalizers"):
                one["metadata"]["deletionTimestamp"] = "2025-01-01T12:00:00Z"
            else:
                del self.objects[self._key(there)]
            return True
        for pod in self.all_pods:
            if pod["metadata"]["name"] == name:
                if name in self.stubborn and grace_seconds != 0:
                    pod["metadata"]["deletionTimestamp"] = "2025-01-01T12:00:00Z"
                else:
                    self.all_pods.remove(pod)
                return True
        return False

    def follow_log(self, namespace, pod):
        return FakeAnswer(self.log.encode().splitlines())

    def watch_pod(self, namespace, pod):
        return FakeAnswer([])

    def may(self, user, verb, resource, namespace):
        return (verb, resource, namespace) in self.rights

    def access(self):
        return Access(
            server="https://k8s:6443",
            token=self.token,
            authority="",
            certificate="",
            key="",
            is_verified=self.verifies_tls,
        )

    def may_i(self, verb, resource, namespace):
        return (verb, resource, namespace) in self.rights

    def driver_metrics(self, namespace, pod):
        return self.metrics

    def driver_log(self, namespace, pod, lines=40):
        return self.log

    def pod_log(self, namespace, pod, lines, *, previous=False):
        return self.logs.get((pod, previous), self.log)

    def events(self, namespace):
        return self.all_events

    @staticmethod
    def _key(manifest):
        metadata = manifest["metadata"]
        return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


class FakeAnswer(list):
    """An open answer of the API server: lines, then the end."""

    def close(self):
        pass

    def shutdown(self):
        pass


def driver_pod(stream, phase, namespace="spark", by_operator=True):
    """Return a driver pod as the manifest labels it, by the operator or by spark-submit."""
    operators = {"sparkoperator.k8s.io/launched-by-spark-operator": "true"} if by_operator else {}
    labels = {**labels_of(*parse_stream_name(stream)), "spark-role": "driver", **operators}
    name = f"{stream}-driver"
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid of {name}",
            "creationTimestamp": "2026-01-01T20:00:00Z",
            "labels": labels,
        },
        "spec": {"containers": []},
        "status": {"phase": phase},
    }


class FakeFiles:
    """What `stream2raw.files.Files` offers, over a dict of texts by path."""

    def __init__(self, texts):
        self.texts = dict(texts)

    def names(self, folder):
        inside = (path[len(folder) + 1 :] for path in self.texts if path.startswith(folder + "/"))
        return sorted({name.partition("/")[0] for name in inside})

    def read(self, file):
        return self.texts.get(file)

    def write(self, file, text):
        self.texts[file] = text


def digest_of(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class FakeRegistry:
    """A registry as its HEAD requests show it: image -> digest."""

    def __init__(self, images):
        self.images = dict(images)
        self.status = None
        self.asked = []

    def head(self, address, **_):
        self.asked.append(address)
        host, _, rest = address.partition("://")[2].partition("/v2/")
        name, _, tag = rest.partition("/manifests/")
        digest = self.images.get(f"{host}/{name}:{tag}")
        status = self.status or (200 if digest else 404)
        return httpx.Response(status, headers={"docker-content-digest": digest or ""})


class FakeDocker:
    """A Docker engine with its own images, beside a registry."""

    def __init__(self, registry):
        self.registry = registry
        self.local = {}
        self.labels = {}
        self.contexts = {}
        self.said = "3.11 2.36 x86_64"
        self.done = []

    def images(self, name, quiet):
        return ["id"] if name in self.local else []

    def pull(self, repository, tag, **_):
        image = f"{repository}:{tag}"
        self.local[image] = self.registry.images[image]
        self.done.append(("pull", image))
        return [{"status": "Downloaded"}]

    def build(self, fileobj, tag, buildargs, **options):
        assert set(buildargs.values()) <= set(self.local)
        assert options["network_mode"] == "none"
        self.local[tag] = digest_of(tag)
        self.labels[tag] = options["labels"]
        with tarfile.open(fileobj=fileobj) as context:
            self.contexts[tag] = context.getnames()
        self.done.append(("build", tag))
        return [{"stream": "Step 1/3 : FROM base\n"}]

    def inspect_image(self, image):
        return {"Id": self.local[image], "Config": {"Labels": self.labels.get(image)}}

    def create_host_config(self, network_mode):
        assert network_mode == "none"
        return {}

    def create_container(self, image, entrypoint, host_config):
        assert image in self.local
        return entrypoint

    def start(self, container):
        self.done.append(("run", container[0]))

    def wait(self, container, timeout):
        return {"StatusCode": 0}

    def logs(self, container, stdout, stderr):
        return self.said.encode()

    def remove_container(self, container, force):
        self.done.append(("remove", container[0]))

    def tag(self, image, repository, tag):
        self.local[f"{repository}:{tag}"] = self.local[image]

    def push(self, repository, tag, **_):
        image = f"{repository}:{tag}"
        self.registry.images[image] = self.local[image]
        self.done.append(("push", image))
        return [{"status": "Pushed"}]


class FakeArrivals:
    """What `broker.Arrivals` offers, over when each alert came, by partition.

    Partition p holds the offsets from `begins[p]` on. `asked` counts the questions to the brokers.
    """

    def __init__(self, came, begins=None):
        self.came = {number: sorted(moments) for number, moments in came.items()}
        self.begins = begins or {}
        self.asked = 0

    def span(self):
        return {
            number: (self.begins.get(number, 0), self.begins.get(number, 0) + len(moments))
            for number, moments in self.came.items()
        }

    def before(self, moment):
        self.asked += 1
        return {
            number: self.begins.get(number, 0) + bisect_left(moments, moment)
            for number, moments in self.came.items()
        }


class FakeAssetState(dict):
    """The state of the asset `fink_health`, as a task's context gives it: values are JSON."""

    def __getitem__(self, asset):
        assert asset.name == "fink_health"
        return self

    def set(self, key, value):
        dict.__setitem__(self, key, json.loads(json.dumps(value)))
