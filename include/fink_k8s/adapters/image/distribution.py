"""Spark's distribution and its jars: fetched, checked against the pins, cached for good."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from backports import tarfile

from fink_k8s.core.base.errors import InvalidRequest, Refused, Unavailable
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.releases import Jar, Release
from fink_k8s.core.config.settings import Settings

_CHUNK = 1 << 20
_TRIES = 4
# What an image needs of the archive; examples, data and Spark's own cluster stay out.
_PARTS = ("jars", "bin")
_POM = """\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>fink</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""


def ensure_distribution(settings: Settings, release: Release, say: Say) -> Path:
    """Return a folder that is a SPARK_HOME: from the cache, or fetched, checked and unpacked.

    Raises:
        InvalidRequest: no address is set, or the release pins no checksum.
        Refused: the archive is not the pinned one, or holds a member that leaves its folder.
        Unavailable: the address does not answer.
    """
    settings.need("spark_url")
    if not release.pyspark_sha512:
        raise InvalidRequest(
            f"release {release.tag} has no sha512 of its Spark archive; add it to releases.yaml"
        )
    home = settings.cache_dir / "spark" / release.pyspark_sha512[:16]
    if home.exists():
        say(f"unchanged: Spark {release.spark} is in the cache")
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    address = settings.spark_url_of(release.spark)
    with tempfile.TemporaryDirectory(dir=home.parent) as workshop:
        archive = Path(workshop) / "archive"
        fetch(address, archive, say)
        check_sha512(archive, release.pyspark_sha512, address)
        unpack(archive, Path(workshop) / "unpacked")
        arrange(Path(workshop) / "unpacked", Path(workshop) / "home")
        keep(Path(workshop) / "home", home)
    say(f"Spark {release.spark}: downloaded, verified, unpacked")
    return home


def ensure_jars(settings: Settings, release: Release, say: Say) -> Path:
    """Return a folder with exactly the release's jars, each checked against its sha256.

    They come by Maven, with the machine's own configuration of repositories.

    Raises:
        Refused: a jar is not the pinned one.
        Unavailable: Maven is missing or cannot get a jar.
    """
    return ensure_jars_of(settings, release.jars, say)


def ensure_jars_of(settings: Settings, wanted: Sequence[Jar], say: Say) -> Path:
    """Return a folder with exactly the `wanted` jars; as `ensure_jars` for a release's."""
    key = hashlib.sha256("".join(jar.sha256 for jar in wanted).encode()).hexdigest()[:16]
    folder = settings.cache_dir / "jars" / key
    if folder.exists():
        say(f"unchanged: {len(wanted)} JARs are in the cache")
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as workshop:
        jars = Path(workshop) / "jars"
        jars.mkdir()
        _copy_jars(wanted, jars, Path(workshop) / "pom.xml")
        for jar in wanted:
            _check_jar(jar, jars)
            say(f"JAR {jar.file}: downloaded, verified")
        keep(jars, folder)
    return folder


def fetch(address: str, target: Path, say: Say) -> None:
    """Bring an http(s) or file address to `target`, going on where a download broke off.

    Raises:
        Unavailable: it did not come in a few tries.
    """
    parts = urlsplit(address)
    if parts.scheme == "file":
        source = Path(unquote(parts.path))
        if not source.is_file():
            raise Unavailable(f"{source} does not exist; correct FINK_SPARK_URL", retryable=False)
        shutil.copyfile(source, target)
        return
    if parts.scheme not in ("http", "https"):
        raise InvalidRequest("FINK_SPARK_URL must begin with https://, http:// or file://")
    reason = ""
    for _ in range(_TRIES):
        try:
            _download(address, target, say)
            return
        except httpx.HTTPError as error:
            reason = str(error)
            say(f"{parts.hostname}: {reason}; resuming from {_size(target)} bytes")
    raise Unavailable(
        f"cannot download Spark from {parts.hostname}: {reason}; check FINK_SPARK_URL"
    )


def check_sha512(archive: Path, pinned: str, address: str) -> None:
    """Refuse an archive that is not the pinned one."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    if found != pinned:
        raise Refused(
            f"the file from {address} has sha512 {found[:16]}..., but the pinned one is "
            f"{pinned[:16]}...; it is another file, an error page, or was tampered with: check "
            "FINK_SPARK_URL, where {version} stands for the release's Spark version"
        )


def unpack(archive: Path, folder: Path, what: str = "the Spark archive") -> None:
    """Unpack an archive, refusing members that would leave `folder` and devices.

    Raises:
        Refused: it is not a tar archive, is truncated, or has a dangerous member.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise Refused(f"{what} contains a dangerous member: {error}") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refused(f"{what} cannot be unpacked: {error}; download it again") from error


def arrange(unpacked: Path, home: Path) -> None:
    """Make a SPARK_HOME of either layout: the official archive's, or pyspark's source archive."""
    tops = [path for path in unpacked.iterdir() if path.is_dir()]
    if len(tops) != 1:
        raise Refused("the Spark archive does not contain exactly one folder; check FINK_SPARK_URL")
    top = tops[0]
    is_pyspark = (top / "deps" / "jars").is_dir()
    source = top / "deps" if is_pyspark else top
    for part in _PARTS:
        if not (source / part).is_dir():
            raise Refused(f"the Spark archive has no folder {part}; check FINK_SPARK_URL")
    home.mkdir()
    for part in _PARTS:
        (source / part).rename(home / part)
    if is_pyspark:
        (home / "python").mkdir()
        (top / "pyspark").rename(home / "python/pyspark")
        (top / "lib").rename(home / "python/lib")
    else:
        (source / "python").rename(home / "python")


def keep(made: Path, place: Path) -> None:
    """Move a result to its place; where another run was faster, its result stays."""
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise


def _download(address: str, target: Path, say: Say) -> None:
    have = _size(target)
    # As the server has it: an archive that is called gzip-encoded must not be unpacked here.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=60) as answer:
        answer.raise_for_status()
        # A server that knows no ranges begins again: so do we.
        mode = "ab" if answer.status_code == httpx.codes.PARTIAL_CONTENT else "wb"
        total = int(answer.headers.get("content-length", 0)) + (have if mode == "ab" else 0)
        with target.open(mode) as out:
            for chunk in _announced(answer.iter_raw(_CHUNK), total, say):
                out.write(chunk)


def _announced(chunks: Iterator[bytes], total: int, say: Say) -> Iterator[bytes]:
    done = shown = 0
    for chunk in chunks:
        done += len(chunk)
        if done - shown > 50 * _CHUNK:
            shown = done
            say(f"Spark: {done >> 20} of {total >> 20} MB")
        yield chunk


def _copy_jars(wanted: Sequence[Jar], folder: Path, pom: Path) -> None:
    """Bring all jars by one run of Maven: a run for each would take seconds a jar."""
    pom.write_text(_POM.format(dependencies="".join(map(_dependency, wanted))))
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    command = ["mvn", "-B", "-q", "-f", str(pom), plugin, f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except FileNotFoundError as error:
        raise Unavailable(
            "Maven (mvn) is not installed; install it on the worker, it downloads the JARs",
            retryable=False,
        ) from error
    missing = [jar.artifact for jar in wanted if not (folder / jar.file).is_file()]
    if done.returncode or missing:
        said = [line for line in done.stdout.splitlines() if "[ERROR]" in line]
        named = " ".join(missing if len(missing) < len(wanted) else missing[:1])
        raise Unavailable(f"cannot download JAR {named}: {' '.join(said)[:500]}")


def _dependency(jar: Jar) -> str:
    """Return the jar as Maven's dependency, without those that it depends on in turn."""
    group, name, version = jar.artifact.split(":")
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version><exclusions><exclusion><groupId>*</groupId>"
        "<artifactId>*</artifactId></exclusion></exclusions></dependency>"
    )


def _check_jar(jar: Jar, folder: Path) -> None:
    with (folder / jar.file).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise Refused(
            f"JAR {jar.file} has sha256 {found}, but the pinned one is {jar.sha256}; "
            "check the pin and Maven's repository"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
