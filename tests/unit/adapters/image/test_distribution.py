import hashlib
import io
import re
import subprocess
import tarfile
from pathlib import Path

import httpx
import pytest

from fink_k8s.adapters.image import distribution
from fink_k8s.adapters.image.distribution import (
    arrange,
    check_sha512,
    ensure_distribution,
    ensure_jars,
    fetch,
    unpack,
)
from fink_k8s.core.base.errors import InvalidRequest, Refused, Unavailable
from fink_k8s.core.config.releases import Jar, Release
from fink_k8s.core.config.settings import Settings

URL = "https://mirror.example/spark.tgz"
OFFICIAL = ("bin/spark-submit", "sbin/start", "jars/spark-core.jar", "python/pyspark/sql.py",
            "examples/pi.py")  # fmt: skip
PYSPARK = ("deps/bin/spark-submit", "deps/sbin/start", "deps/jars/spark-core.jar",
           "deps/examples/pi.py", "pyspark/sql.py", "lib/py4j.zip", "setup.py")  # fmt: skip


def tgz(path, files, *others):
    with tarfile.open(path, "w:gz") as tar:
        for name in files:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        for info in others:
            tar.addfile(info)
    return path


def official(path):
    return tgz(path, [f"spark-3.5.7-bin-hadoop3/{name}" for name in OFFICIAL])


def release(archive=None, jars=()):
    digest = hashlib.sha512(archive.read_bytes()).hexdigest() if archive else ""
    return Release(
        fink="4.0",
        spark="3.5.7",
        scala="2.12",
        java=17,
        kubernetes=({"verdict": "tested", "reason": "it ran"},),
        pyspark_sha512=digest,
        jars=jars,
    )


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def said():
    return []


@pytest.fixture
def settings(tmp_path):
    def make(address=URL):
        return Settings(spark_url=str(address), cache_dir=tmp_path / "cache")

    return make


@pytest.fixture
def serve(monkeypatch):
    """Let a function answer what is asked over HTTP; returns the list of requests."""

    def install(answer):
        asked = []

        def handler(request):
            asked.append(request)
            return answer(request)

        client = httpx.Client(transport=httpx.MockTransport(handler))
        monkeypatch.setattr(httpx, "stream", client.stream)
        return asked

    return install


def test_a_file_address_becomes_a_spark_home(tmp_path, settings, said):
    archive = official(tmp_path / "a spark.tgz")
    home = ensure_distribution(settings(archive.as_uri()), release(archive), said.append)
    kept = {name for name in OFFICIAL if not name.startswith(("examples", "sbin"))}
    assert files_of(home) == kept
    assert home.is_relative_to(tmp_path / "cache")
    assert said[-1] == "Spark 3.5.7: downloaded, verified, unpacked"


def test_what_is_cached_is_not_fetched_again(tmp_path, settings, said):
    archive = official(tmp_path / "spark.tgz")
    asked = settings(archive.as_uri())
    wanted = release(archive)
    home = ensure_distribution(asked, wanted, said.append)
    archive.unlink()
    assert ensure_distribution(asked, wanted, said.append) == home
    assert said[-1] == "unchanged: Spark 3.5.7 is in the cache"


def test_one_address_serves_several_releases(tmp_path, settings, said):
    archive = official(tmp_path / "spark-3.5.7.tgz")
    asked = settings((tmp_path / "spark-").as_uri() + "{version}.tgz")
    assert (ensure_distribution(asked, release(archive), said.append) / "jars").is_dir()


def test_an_address_that_is_not_set_is_named(settings, said):
    with pytest.raises(InvalidRequest, match="FINK_SPARK_URL is not set"):
        ensure_distribution(settings(""), release(), said.append)


def test_a_release_without_checksum_is_refused(settings, said):
    with pytest.raises(InvalidRequest, match="has no sha512"):
        ensure_distribution(settings(), release(), said.append)


@pytest.mark.shows("docs/from-the-command-line.md#archive")
def test_another_archive_is_refused_and_leaves_nothing(tmp_path, settings, said):
    pinned, other = official(tmp_path / "spark.tgz"), tgz(tmp_path / "other.tgz", ["a/b"])
    with pytest.raises(Refused, match="it is another file") as caught:
        ensure_distribution(settings(other.as_uri()), release(pinned), said.append)
    assert hashlib.sha512(other.read_bytes()).hexdigest()[:16] in str(caught.value)
    assert "FINK_SPARK_URL" in str(caught.value)
    assert files_of(tmp_path / "cache") == set()


def test_a_page_of_an_error_is_refused(tmp_path, serve, settings, said):
    serve(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"<h1>Sign in to the hotel</h1>")))
    with pytest.raises(Refused, match="an error page"):
        ensure_distribution(settings(), release(official(tmp_path / "x")), said.append)


def test_the_pinned_archive_passes(tmp_path):
    archive = official(tmp_path / "spark.tgz")
    assert check_sha512(archive, release(archive).pyspark_sha512, URL) is None


@pytest.mark.parametrize("address", ["ftp://mirror/spark.tgz", "/srv/spark.tgz", "spark.tgz"])
def test_an_address_of_another_kind_is_refused(tmp_path, said, address):
    with pytest.raises(InvalidRequest, match="FINK_SPARK_URL must begin with"):
        fetch(address, tmp_path / "got", said.append)


def test_a_file_that_is_not_there_is_not_tried_again(tmp_path, said):
    with pytest.raises(Unavailable, match=r"nowhere\.tgz does not exist") as caught:
        fetch((tmp_path / "nowhere.tgz").as_uri(), tmp_path / "got", said.append)
    assert not caught.value.retryable


class Broken(httpx.SyncByteStream):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        yield self.data
        raise httpx.ReadError("connection reset")


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_ends_whole(tmp_path, serve, said, knows_ranges):
    first, second = bytes(1 << 20), b"the rest"

    def answer(request):
        if len(asked) == 1:
            return httpx.Response(200, stream=Broken(first))
        if knows_ranges:
            return httpx.Response(206, stream=httpx.ByteStream(second))
        return httpx.Response(200, stream=httpx.ByteStream(first + second))

    asked = serve(answer)
    fetch(URL, tmp_path / "got", said.append)
    assert (tmp_path / "got").read_bytes() == first + second
    assert [request.headers.get("range") for request in asked] == [None, "bytes=1048576-"]
    assert said == ["mirror.example: connection reset; resuming from 1048576 bytes"]


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_has_it_not_is_given_up(tmp_path, serve, said, status):
    asked = serve(lambda _: httpx.Response(status))
    with pytest.raises(Unavailable, match=rf"mirror\.example: .*{status}.*FINK_SPARK_URL"):
        fetch(URL, tmp_path / "got", said.append)
    assert len(asked) == 4


def test_a_redirect_to_a_mirror_is_followed(tmp_path, serve, said):
    def answer(request):
        if request.url.host == "mirror.example":
            return httpx.Response(302, headers={"Location": "https://other.example/spark.tgz"})
        return httpx.Response(200, stream=httpx.ByteStream(b"spark"))

    serve(answer)
    fetch(URL, tmp_path / "got", said.append)
    assert (tmp_path / "got").read_bytes() == b"spark"


def test_the_archive_is_stored_as_the_server_has_it(tmp_path, serve, said):
    archive = official(tmp_path / "spark.tgz").read_bytes()
    serve(
        lambda _: httpx.Response(
            200, stream=httpx.ByteStream(archive), headers={"Content-Encoding": "gzip"}
        )
    )
    fetch(URL, tmp_path / "got", said.append)
    assert (tmp_path / "got").read_bytes() == archive


def test_two_runs_at_once_end_with_one_spark_home(tmp_path, serve, settings, said):
    archive = official(tmp_path / "spark.tgz")
    wanted = release(archive)

    def answer(_):
        ensure_distribution(settings(archive.as_uri()), wanted, said.append)
        return httpx.Response(200, stream=httpx.ByteStream(archive.read_bytes()))

    serve(answer)
    assert (ensure_distribution(settings(), wanted, said.append) / "jars").is_dir()


def member(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "evil",
    [
        member("spark/../../out", tarfile.REGTYPE),
        member("../out", tarfile.REGTYPE),
        member("spark/null", tarfile.CHRTYPE),
        member("spark/disk", tarfile.BLKTYPE),
        member("spark/pipe", tarfile.FIFOTYPE),
        member("spark/out", tarfile.SYMTYPE, "../../out"),
        member("spark/out", tarfile.SYMTYPE, "/etc/passwd"),
        member("spark/out", tarfile.LNKTYPE, "../../out"),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()} {info.linkname}",
)
def test_a_dangerous_member_is_refused(tmp_path, evil):
    archive = tgz(tmp_path / "evil.tgz", ["spark/good"], evil)
    with pytest.raises(Refused, match="dangerous member"):
        unpack(archive, tmp_path / "box/unpacked")
    assert files_of(tmp_path) <= {"evil.tgz", "box/unpacked/spark/good"}


def test_an_absolute_name_stays_inside(tmp_path):
    archive = tgz(tmp_path / "a.tgz", [f"{tmp_path}/out"])
    unpack(archive, tmp_path / "unpacked")
    assert not (tmp_path / "out").exists()


def test_an_archive_cut_short_is_refused(tmp_path):
    archive = official(tmp_path / "spark.tgz")
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(Refused, match=r"cannot be unpacked.*download it again"):
        unpack(archive, tmp_path / "unpacked")


def test_a_page_saved_as_archive_is_refused(tmp_path):
    (tmp_path / "spark.tgz").write_text("<html>404</html>")
    with pytest.raises(Refused, match="cannot be unpacked"):
        unpack(tmp_path / "spark.tgz", tmp_path / "unpacked")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (OFFICIAL, {"bin/spark-submit", "jars/spark-core.jar",
                    "python/pyspark/sql.py"}),
        (PYSPARK, {"bin/spark-submit", "jars/spark-core.jar",
                   "python/pyspark/sql.py", "python/lib/py4j.zip"}),
    ],
    ids=["official", "pyspark"],
)  # fmt: skip
def test_both_layouts_become_one_spark_home(tmp_path, files, expected):
    archive = tgz(tmp_path / "a.tgz", [f"top/{name}" for name in files])
    unpack(archive, tmp_path / "unpacked")
    arrange(tmp_path / "unpacked", tmp_path / "home")
    assert files_of(tmp_path / "home") == expected


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["a/jars/x", "b/jars/x"], "does not contain exactly one folder"),
        (["loose"], "does not contain exactly one folder"),
        (["flink/lib/x"], "has no folder jars"),
    ],
)
def test_what_is_not_spark_is_refused(tmp_path, files, words):
    unpack(tgz(tmp_path / "a.tgz", files), tmp_path / "unpacked")
    with pytest.raises(Refused, match=words):
        arrange(tmp_path / "unpacked", tmp_path / "home")


JARS = tuple(
    Jar(artifact=f"org.x:{name}:1.0", sha256=hashlib.sha256(name.encode()).hexdigest())
    for name in ("one", "two")
)


@pytest.fixture
def maven(monkeypatch):
    """A Maven that gives each jar its own name as content; returns what was asked for."""
    asked = []

    def run(command, **_):
        folder = Path(command[-1].partition("=")[2])
        pom = Path(command[command.index("-f") + 1]).read_text()
        for name, version in re.findall(r"<artifactId>(\w+)</artifactId><version>(.+?)<", pom):
            asked.append(name)
            (folder / f"{name}-{version}.jar").write_text(name)
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

    monkeypatch.setattr(distribution.subprocess, "run", run)
    return asked


def test_jars_are_fetched_once(maven, settings, said):
    folder = ensure_jars(settings(), release(jars=JARS), said.append)
    assert files_of(folder) == {"one-1.0.jar", "two-1.0.jar"}
    assert ensure_jars(settings(), release(jars=JARS), said.append) == folder
    assert maven == ["one", "two"]
    assert said[-1] == "unchanged: 2 JARs are in the cache"


def test_other_jars_have_a_folder_of_their_own(maven, settings, said):
    folder = ensure_jars(settings(), release(jars=JARS), said.append)
    assert ensure_jars(settings(), release(jars=JARS[:1]), said.append) != folder


def test_a_jar_that_is_not_the_pinned_one_is_refused(maven, settings, said, tmp_path):
    wrong = Jar(artifact="org.x:three:1.0", sha256="0" * 64)
    with pytest.raises(Refused, match=r"three-1\.0\.jar has sha256"):
        ensure_jars(settings(), release(jars=(*JARS, wrong)), said.append)
    assert files_of(tmp_path / "cache") == set()


@pytest.mark.parametrize("code", [0, 1])
def test_a_jar_that_does_not_come_is_unavailable(monkeypatch, settings, said, code):
    done = subprocess.CompletedProcess([], code, stdout="[ERROR] no route", stderr="")
    monkeypatch.setattr(distribution.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(Unavailable, match=r"cannot download JAR org\.x:one:1\.0: .*no route"):
        ensure_jars(settings(), release(jars=JARS), said.append)


def test_a_missing_maven_is_named_and_not_tried_again(monkeypatch, settings, said):
    def run(*_, **__):
        raise FileNotFoundError("mvn")

    monkeypatch.setattr(distribution.subprocess, "run", run)
    with pytest.raises(Unavailable, match="Maven") as caught:
        ensure_jars(settings(), release(jars=JARS), said.append)
    assert not caught.value.retryable
