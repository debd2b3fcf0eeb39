"""In-memory stand-ins for the systems that the project talks to."""

from copy import deepcopy

from fink_k8s.core.errors import Conflict
from fink_k8s.core.names import labels_of, parse_stream_name


class FakeCluster:
    """What `fink_k8s.adapters.cluster.Cluster` offers, over a dict of objects.

    `rights` holds what any account may do, as (verb, resource, namespace). A deleted object is
    seen `lingers` more times, as one with finalizers is.
    """

    def __init__(self, *objects, pods=(), rights=(), lingers=0):
        self.objects = {}
        self.all_pods = list(pods)
        self.rights = set(rights)
        self.lingers = lingers
        self.dying = {}
        self.log = ""
        self.logs = {}
        self.all_events = []
        self.metrics = None
        self.minor = "1.34"
        self.has_crd = True
        self.all_deployments = []
        self.all_nodes = []
        for one in objects:
            self.put(one)

    def put(self, manifest):
        self.objects[self._key(manifest)] = deepcopy(manifest)

    def version(self):
        return self.minor

    def find(self, kind, name, namespace=""):
        key = (kind, namespace, name)
        if key in self.dying:
            self.dying[key] -= 1
            if self.dying[key] < 0:
                del self.dying[key], self.objects[key]
        return deepcopy(self.objects.get(key))

    def crd_exists(self):
        return self.has_crd

    def deployments(self, namespace):
        return [one for one in self.all_deployments if one["metadata"]["namespace"] == namespace]

    def nodes(self):
        return self.all_nodes

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

    def delete(self, kind, name, namespace=""):
        key = (kind, namespace, name)
        if key not in self.objects:
            return False
        self.dying[key] = self.lingers
        return True

    def may(self, user, verb, resource, namespace):
        return (verb, resource, namespace) in self.rights

    def driver_metrics(self, namespace, pod):
        return self.metrics

    def driver_log(self, namespace, pod, lines=40):
        return self.log

    def pod_log(self, namespace, pod, lines, *, previous=False):
        return self.logs.get((pod, previous), self.log)

    def applications(self, namespace):
        return [one for (kind, ns, _), one in self.objects.items()
                if (kind, ns) == ("SparkApplication", namespace)]  # fmt: skip

    def events(self, namespace):
        return self.all_events

    @staticmethod
    def _key(manifest):
        metadata = manifest["metadata"]
        return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def driver_pod(stream, phase, namespace="spark"):
    """Return a driver pod as the manifest labels it."""
    return {
        "metadata": {
            "name": f"{stream}-driver",
            "namespace": namespace,
            "labels": {**labels_of(*parse_stream_name(stream)), "spark-role": "driver"},
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
