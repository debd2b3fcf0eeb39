"""Another kind of store is one class and one client; nothing else of the library asks for a kind.

The kind of this file is made up, after Azure's store: it is written as CONTRIBUTING.md says.
"""

import ast
from pathlib import Path

import pytest
from pyarrow import fs

import fink_k8s
from fink_k8s.adapters.store.file_systems import file_system_of
from fink_k8s.core.base.errors import InvalidRequest, OutOfSight
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.store.store_kind import StoreKind
from fink_k8s.core.store.stores import STORE_KINDS
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.core.stream.submit_conf import spark_submit_from
from fink_k8s.glue.base import connections
from tests.bucket import NIGHT, Bucket

LIBRARY = Path(fink_k8s.__file__).parent
PREFIX = "abfs://fink/ztf"
PROPERTY = "spark.hadoop.fs.azure.account.keyprovider.fink"
IMAGE = f"registry.example.org/fink@sha256:{'0' * 64}"


class AbfsStore(StoreKind):
    """A container of one account, whose driver for Hadoop needs a folder for what it sends."""

    scheme = "abfs"
    form = "abfs://container[/path]"
    remedy = "check the connection fink_store"
    key_variables = {"AZURE_ACCOUNT": "access-key", "AZURE_KEY": "secret-key"}  # noqa: RUF012
    has_owners = False

    @classmethod
    def check_host(cls, host):
        if ":" in host:
            raise ValueError("must name a container, without port")

    def spark_properties(self, spark_version):
        return {PROPERTY: f"from the environment, Spark {spark_version}"}

    @property
    def volumes(self):
        return [{"name": "upload", "emptyDir": {"sizeLimit": "1Gi"}}]

    @property
    def mounts(self):
        return {"upload": "/var/upload"}

    @property
    def root(self):
        return f"{self.host}{self.path}"


@pytest.fixture
def settings(monkeypatch):
    """The settings of an installation that uses the kind."""
    monkeypatch.setitem(STORE_KINDS, AbfsStore.scheme, AbfsStore)
    monkeypatch.setenv("FINK_STORE_PREFIX", f"{PREFIX}/")
    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    return load_settings()


def rendered(settings):
    return make_spark_application(
        StreamRequest(night=NIGHT, topic="alerts"), settings, IMAGE, "3.5.7"
    )


def test_a_kind_is_known_by_its_scheme_alone(settings):
    assert isinstance(settings.store, AbfsStore)
    assert str(settings.store) == PREFIX


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("abfs://fink:1/ztf", "must name a container, without port"),
        ("abfs://fink/../ztf", r"pvc://claim\[/path\] or abfs://container\[/path\], with letters"),
        ("gs://fink", "must begin with s3a://, hdfs://, pvc:// or abfs://"),
    ],
)
def test_its_rules_are_those_of_every_kind_and_its_own(settings, prefix, rule):
    with pytest.raises(ValueError, match=rule):
        Settings(store_prefix=prefix)


def test_a_kind_that_is_not_registered_is_refused(monkeypatch):
    monkeypatch.setenv("FINK_STORE_PREFIX", PREFIX)
    with pytest.raises(InvalidRequest, match="FINK_STORE_PREFIX must begin with s3a://"):
        load_settings()


@pytest.mark.shows("CONTRIBUTING.md#add-store-kind")
def test_a_stream_is_rendered_with_all_that_the_kind_asks_for(settings):
    spec = rendered(settings)["spec"]
    arguments = spec["arguments"]
    assert arguments[arguments.index("-online_data_prefix") + 1] == PREFIX
    assert spec["sparkConf"][PROPERTY] == "from the environment, Spark 3.5.7"
    assert not [key for key in spec["sparkConf"] if "s3a" in key]
    assert spec["volumes"][-1] == {"name": "upload", "emptyDir": {"sizeLimit": "1Gi"}}
    for role in ("driver", "executor"):
        assert spec[role]["volumeMounts"][-1] == {"name": "upload", "mountPath": "/var/upload"}
        assert [
            (one["name"], one["valueFrom"]["secretKeyRef"]) for one in spec[role]["env"]
        ] == [
            ("AZURE_ACCOUNT", {"name": "fink-store", "key": "access-key"}),
            ("AZURE_KEY", {"name": "fink-store", "key": "secret-key"}),
        ]  # fmt: skip


def test_spark_submit_is_given_the_same(settings):
    conf = spark_submit_from(rendered(settings)).conf
    assert conf[PROPERTY] == "from the environment, Spark 3.5.7"
    assert conf["spark.kubernetes.driver.secretKeyRef.AZURE_KEY"] == "fink-store:secret-key"
    assert conf["spark.kubernetes.executor.volumes.emptyDir.upload.mount.path"] == "/var/upload"


def test_without_a_client_airflow_says_that_it_does_not_see_the_store(settings):
    with pytest.raises(OutOfSight, match="no client for abfs://"):
        file_system_of(settings.store, "", "")


@pytest.mark.shows("CONTRIBUTING.md#add-store-kind")
def test_with_a_client_airflow_counts_its_rows(settings, monkeypatch, tmp_path):
    class ReadableStore(AbfsStore):
        """Of a class of its own, because `register` is for good."""

    given = []

    @file_system_of.register
    def _(store: ReadableStore, access_key: str, secret_key: str):
        given.append((str(store), access_key, secret_key))
        return fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())

    monkeypatch.setitem(STORE_KINDS, AbfsStore.scheme, ReadableStore)
    bucket = Bucket(tmp_path, PREFIX)
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=4)
    bucket.quarantine(0, rows=1)
    monkeypatch.setattr(connections, "BaseHook", FakeHook)
    store = connections.store(settings)
    assert store.check() is None
    assert store.counts(NIGHT).as_dict() == {"batches": 1, "read": 5, "stored": 4, "set_aside": 1}
    assert given == [(PREFIX, "account", "key")]


class FakeHook:
    """Airflow's connections, of which there is one."""

    @staticmethod
    def get_connection(conn_id):
        assert conn_id == "fink_store"
        return type("Keys", (), {"login": "account", "password": "key"})


def branches_in(source):
    """Return the lines of a module that ask for a kind of store: by its scheme or its class."""
    schemes = {*STORE_KINDS, *(f"{scheme}://" for scheme in STORE_KINDS)}
    names = {kind.__name__ for kind in STORE_KINDS.values()}
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Constant) and node.value in schemes)
        or (isinstance(node, ast.Name) and node.id in names)
        or (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.Attribute) and ast.unparse(node).endswith("store.scheme"))
        or (isinstance(node, ast.alias) and node.name in names)
    ]


@pytest.mark.parametrize(
    "branch",
    [
        "if settings.store.scheme in known: pass",
        "if address.startswith('s3a://'): pass",
        "if urlsplit(url)[0] == 'hdfs': pass",
        "if isinstance(store, ClaimStore): pass",
        "from fink_k8s.core.store.s3_store import S3Store as Bucket",
    ],
)
def test_a_branch_on_a_kind_would_be_found(branch):
    assert branches_in(branch) == [1]


def test_nothing_outside_the_rooms_of_stores_asks_for_a_kind():
    modules = [path for path in LIBRARY.rglob("*.py") if path.parent.name != "store"]
    assert len(modules) > 100
    found = {
        str(path.relative_to(LIBRARY)): lines
        for path in modules
        if (lines := branches_in(path.read_text()))
    }
    assert found == {}
