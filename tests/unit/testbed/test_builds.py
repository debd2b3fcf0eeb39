import hashlib
import io

import pytest
from packaging.version import Version

from fink_k8s.core.config.releases import SupportVerdict, releases_from
from testbed import builds, pins
from testbed.places import RELEASES
from testbed.process import TestbedError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FINK_CACHE_DIR", str(tmp_path))


@pytest.fixture
def index(monkeypatch):
    """A package index whose one archive is the text `spark`; returns the addresses asked for."""
    asked = []

    def urlopen(address, timeout):
        asked.append(address)
        page = '<a href="../../files/pyspark-3.1.3.tar.gz#sha256=0">pyspark-3.1.3.tar.gz</a>'
        return io.BytesIO(b"spark" if address.endswith(".gz") else page.encode())

    monkeypatch.setattr(builds, "package_index", lambda: "https://index.example/packages")
    monkeypatch.setattr(builds.urllib.request, "urlopen", urlopen)
    return asked


def test_each_java_has_a_base_of_its_own_and_the_current_one_is_built_by_up():
    assert builds.base_build(11).path != builds.base_build(17).path
    assert builds.all_builds()["base"].path == builds.base_build(pins.JAVA).path


def test_a_java_that_no_debian_has_is_named_with_those_there_are():
    with pytest.raises(TestbedError, match="packages of Java 8, only of Java 11, 17"):
        builds.base_build(8)


def test_every_release_that_is_not_refused_here_has_a_base():
    here = "{0.major}.{0.minor}".format(Version(pins.KUBERNETES))
    for release in releases_from(RELEASES.read_text()).releases:
        runs = release.support_on(here).verdict is not SupportVerdict.REFUSED
        assert (release.java in pins.BASE_SUITES) is runs


def test_an_archive_is_fetched_once_and_stands_where_the_settings_look(index):
    sha512 = hashlib.sha512(b"spark").hexdigest()
    archive = builds.ensure_archive("3.1.3", sha512, print)
    assert archive.read_bytes() == b"spark"
    said = []
    assert builds.ensure_archive("3.1.3", sha512, said.append) == archive
    assert said == ["pyspark-3.1.3.tar.gz: in the cache"]
    assert index == [
        "https://index.example/packages/pyspark/",
        "https://index.example/files/pyspark-3.1.3.tar.gz",
    ]


def test_another_archive_is_refused_and_leaves_nothing(index):
    with pytest.raises(TestbedError, match="not the pinned"):
        builds.ensure_archive("3.1.3", "0" * 128, print)
    assert not builds.spark_archive("3.1.3").exists()


def test_an_archive_that_the_index_has_not_is_named(index):
    with pytest.raises(TestbedError, match=r"does not list pyspark-9\.9\.9\.tar\.gz"):
        builds.ensure_archive("9.9.9", "0" * 128, print)


def test_the_current_spark_is_the_matrix_s_first_row():
    current = releases_from(RELEASES.read_text()).get()
    assert (current.spark, current.java) == (pins.SPARK, pins.JAVA)
    assert current.pyspark_sha512 == pins.SPARK_SDIST_SHA512
