"""What tests of the testbed share."""

import os
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from xdist.scheduler import LoadScopeScheduling

# Before anything imports Airflow, which reads its configuration then and there.
HOME = tempfile.TemporaryDirectory(prefix="airflow-of-tests-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(Path(__file__).resolve().parents[1] / "plugins")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Hide the testbed's settings while modules are imported: those of unit tests make their own.

    Not before: a process that runs tests for this one has its environment of it.
    """
    kept = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("FINK_")}
    try:
        return (yield)
    finally:
        os.environ.update(kept)


@pytest.fixture(scope="session")
def environment():
    """Return the testbed's variables; `python -m testbed.run pytest` sets them."""
    if "TESTBED_STATE" not in os.environ:
        pytest.fail("the testbed is not up: run these tests by `make test`")
    return os.environ


@pytest.fixture(scope="session")
def matrix():
    """Return the compatibility matrix."""
    from fink_k8s.core.config.releases import releases_from
    from testbed.places import RELEASES

    return releases_from(RELEASES.read_text())


@pytest.fixture(scope="session")
def release(matrix):
    """Return the current release."""
    return matrix.get()


@pytest.fixture(scope="session")
def spark_parts(environment, release):
    """Return the current release's SPARK_HOME and its folder of jars."""
    from fink_k8s.adapters.image.distribution import ensure_distribution, ensure_jars
    from fink_k8s.core.config.settings import load_settings

    settings = load_settings()
    return ensure_distribution(settings, release, print), ensure_jars(settings, release, print)


@pytest.fixture(scope="session")
def kubernetes(environment):
    """Return a client of the cluster, as its administrator."""
    from kubernetes import config

    return config.new_client_from_config(environment["KUBECONFIG"])


@pytest.fixture(scope="session")
def store(environment):
    """Return the raw store."""
    from fink_k8s.adapters.store.raw_store import open_store
    from fink_k8s.core.config.settings import load_settings

    return open_store(
        load_settings(),
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="session")
def settings(environment):
    """Return the testbed's settings."""
    from fink_k8s.core.config.settings import load_settings

    return load_settings()


@pytest.fixture
def bed(kubernetes, settings, store):
    """Return the testbed's systems in one; streams put into `ended` are deleted afterwards."""
    from fink_k8s.adapters.base.cluster import Cluster
    from fink_k8s.adapters.stream.rights import ensure_rights
    from fink_k8s.core.stream.stream_request import RbacMode
    from tests.integration.trouble import delete

    cluster = Cluster(kubernetes)
    ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, lambda line: None)
    bed = SimpleNamespace(cluster=cluster, settings=settings, store=store, ended=[])
    yield bed
    for stream in bed.ended:
        delete(bed, stream)


def pytest_runtest_setup(item):
    """Bring back a part of the testbed that has ended of itself, and tell its last words.

    A machine would: systemd starts a kubelet again. One that is gone fails all that comes after it.
    """
    from testbed import bed

    if item.nodeid.startswith((*ClusterApart.TESTS, "tests/long/")) and (died := bed.died()):
        for part, words in died.items():
            warnings.warn(f"the testbed's {part} has ended:\n{words}", stacklevel=1)
        bed.up(print)


class ClusterApart(LoadScopeScheduling):
    """Runs all that uses the cluster in one process and in order, and the rest beside it.

    The groups of xdist 3.8 do not hold under pytest 9.2, whose items keep the id they have.
    """

    TESTS = tuple(f"tests/{name}/" for name in ("integration", "e2e", "demo", "lifecycle"))

    def _split_scope(self, nodeid):
        return "cluster" if nodeid.startswith(self.TESTS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return ClusterApart(config, log)
