"""Build and fetch what the testbed runs; every result is cached by the hash of its inputs.

A complete result is renamed into the cache, so an interrupted build leaves nothing there.
"""

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from backports import tarfile
from packaging.version import Version

from testbed import pins
from testbed.places import SOURCES, cache
from testbed.process import TestbedError, run

GO = SOURCES / "go"


@dataclass(frozen=True)
class Build:
    """One thing to build: its name, the inputs of its key, and a function that builds it."""

    name: str
    inputs: tuple[Path | str, ...]
    make: Callable[[Path], None]
    minutes: float = 0

    @property
    def path(self) -> Path:
        """Return the path of the result, which need not exist yet."""
        return cache() / "testbed" / f"{self.name}-{key_of(self.inputs)}"

    def ensure(self, say: Callable[[str], None]) -> Path:
        """Return the path of the result; build it if it is not in the cache."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / f".{self.name}.lock").open("w") as lock:
            # Two checkouts share the cache: the second one waits for the result of the first one.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.path.exists():
                say(f"{self.name}: in the cache")
                return self.path
            return self._make(say)

    def _make(self, say: Callable[[str], None]) -> Path:
        usual = f"; {self.minutes} min on two cores" if self.minutes else ""
        say(f"{self.name}: building{usual}")
        begun = time.monotonic()
        workshop = Path(tempfile.mkdtemp(prefix=f".{self.name}-", dir=self.path.parent))
        ended = threading.Event()
        threading.Thread(target=self._tell, args=(say, begun, ended), daemon=True).start()
        try:
            self.make(workshop / "result")
            (workshop / "result").rename(self.path)
        finally:
            ended.set()
            shutil.rmtree(workshop, ignore_errors=True)
        say(f"{self.name}: built in {time.monotonic() - begun:.0f} s")
        return self.path

    def _tell(self, say: Callable[[str], None], begun: float, ended: threading.Event) -> None:
        """Report every half minute that it is still being built."""
        while not ended.wait(30):
            usual = f" of about {self.minutes * 60:.0f} s" if self.minutes else ""
            say(f"{self.name}: still building, {time.monotonic() - begun:.0f} s{usual}")


def key_of(inputs: Iterable[Path | str]) -> str:
    """Return the key of a build: 12 hex digits of the hash of its inputs, files by content."""
    digest = hashlib.sha256()
    for item in inputs:
        content = item.read_bytes() if isinstance(item, Path) else item.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:12]


def all_builds() -> dict[str, Build]:
    """Return every build by name."""
    module = "github.com/kubeflow/spark-operator/v2"
    builds = [
        _go_build(
            "kubernetes",
            ".",
            f"-X k8s.io/component-base/version.gitVersion=v{pins.KUBERNETES}"
            f" -X k8s.io/component-base/version.gitMajor=1"
            f" -X k8s.io/component-base/version.gitMinor={Version(pins.KUBERNETES).minor}",
            minutes=7,
        ),
        _go_build("spark-operator", f"{module}/cmd/operator", minutes=2),
        _go_build("helm", "helm.sh/helm/v3/cmd/helm", folder="spark-operator"),
        _go_build("s3", "github.com/versity/versitygw/cmd/versitygw"),
        _go_build("pause", "."),
        Build("chart", (GO / "spark-operator/go.sum",), lambda to: _copy_chart(module, to)),
        Build("kafka", (SOURCES / "pom.xml",), _make_kafka),
        base_build(pins.JAVA),
        Build("spark", (pins.SPARK,), _unpack_spark),
    ]
    return {build.name: build for build in builds}


def compose() -> Build:
    """Return the build of Docker Compose, for a machine without it; not part of `ensure_all`."""
    module = "github.com/docker/compose/v2"
    version = re.search(rf"{module} (v\S+)", (GO / "compose/go.mod").read_text())
    if version is None:
        raise TestbedError(f"testbed/go/compose/go.mod does not require {module}")
    flag = f"-X {module}/internal.Version={version[1]}"
    return _go_build("compose", f"{module}/cmd", flag, minutes=3)


def base_build(java: int) -> Build:
    """Return the build of the base image's root file system with that Java.

    Raises:
        TestbedError: no Debian suite has it.
    """
    if java not in pins.BASE_SUITES:
        known = ", ".join(map(str, sorted(pins.BASE_SUITES)))
        raise TestbedError(f"there are no Debian packages of Java {java}, only of Java {known}")
    suite = pins.BASE_SUITES[java]
    packages = [package.format(java=java) for package in pins.BASE_PACKAGES]
    name = "base" if java == pins.JAVA else f"base-{suite}"
    make = functools.partial(_make_base, suite, packages)
    return Build(name, (suite, *packages), make, minutes=1.5)


def ensure_all(say: Callable[[str], None]) -> dict[str, Path]:
    """Build everything: Go builds one by one (each uses all cores), the rest in parallel."""
    builds = all_builds()
    beside = [builds[name] for name in ("kafka", "base", "spark")]
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [pool.submit(build.ensure, say) for build in beside]
        for build in builds.values():
            if build not in beside:
                build.ensure(say)
        for future in waiting:
            future.result()
    # The distribution may have been unpacked before the archive got its present path.
    ensure_archive(pins.SPARK, pins.SPARK_SDIST_SHA512, say)
    return {name: build.path for name, build in builds.items()}


def install_packages(say: Callable[[str], None]) -> None:
    """Install the Debian packages that are missing.

    Raises:
        TestbedError: some are missing and this user may not install: names them and the command.
    """
    missing = [name for name in pins.DEBIAN_PACKAGES if not _is_installed(name)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise TestbedError(f"Debian packages are missing; run as root: {' '.join(command)}")
    say(f"packages: installing {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=quiet)
    run(*command, env=quiet)


def package_index() -> str:
    """Return the address of the Python package index that this machine is configured with."""
    if chosen := os.environ.get("PIP_INDEX_URL"):
        return chosen.rstrip("/")
    # Ask pip for its default, so that the address is not part of this project.
    code = (
        "from pip._internal.configuration import Configuration as C\n"
        "from pip._internal.models.index import PyPI\n"
        "c = C(isolated=False); c.load()\n"
        "print(dict(c.items()).get('global.index-url', PyPI.simple_url))"
    )
    # The virtual environment was created by uv and has no pip, but its base Python has one.
    return run(Path(sys.base_prefix) / "bin/python3", "-c", code).split()[-1].rstrip("/")


def sdist_address(page: str, base: str, file: str) -> str:
    """Return the address of `file` in a page of a simple index (PEP 503), without its fragment.

    Raises:
        TestbedError: the page does not list the file.
    """
    for href in re.findall(r'href="([^"]+)"', page):
        address = str(urllib.parse.urljoin(base, href)).partition("#")[0]
        if address.endswith(f"/{file}"):
            return address
    raise TestbedError(f"the package index does not list {file}")


def _go_build(
    name: str, package: str, ldflags: str = "", folder: str = "", minutes: float = 0
) -> Build:
    module = GO / (folder or name)

    def make(target: Path) -> None:
        run(
            "go",
            "build",
            "-mod=mod",
            "-trimpath",
            "-ldflags",
            f"-s -w {ldflags}",
            "-o",
            target,
            package,
            cwd=module,
            env={"CGO_ENABLED": "0"},
        )

    sources = sorted(path for path in module.glob("*") if path.name.startswith(("go.", "main.go")))
    return Build(name, (*sources, package, ldflags), make, minutes)


def _copy_chart(module: str, target: Path) -> None:
    found = json.loads(run("go", "mod", "download", "-json", module, cwd=GO / "spark-operator"))
    shutil.copytree(Path(found["Dir"]) / "charts/spark-operator-chart", target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only


def _make_kafka(target: Path) -> None:
    run(
        "mvn",
        "-B",
        "-q",
        "-f",
        SOURCES / "pom.xml",
        "dependency:copy-dependencies",
        f"-DoutputDirectory={target}",
    )


def _make_base(suite: str, packages: Iterable[str], target: Path) -> None:
    """Build a base image's root file system with debootstrap, from the machine's own mirror."""
    root = target.parent / "root"
    include = ",".join(packages)
    run("debootstrap", "--variant=minbase", f"--include={include}", suite, root, mirror())
    for waste in (
        "var/cache/apt",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
    ):
        shutil.rmtree(root / waste, ignore_errors=True)
    run(
        "tar",
        "--numeric-owner",
        "--exclude=./proc/*",
        "--exclude=./sys/*",
        "-C",
        root,
        "-cf",
        target,
        ".",
    )
    shutil.rmtree(root, ignore_errors=True)


def mirror() -> str:
    """Return the Debian mirror of the machine's own apt sources.

    Raises:
        TestbedError: no source names one.
    """
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(path.read_text() for path in files if path.exists())
    for pattern in (r"^URIs:\s*(\S+/debian/?)\s*$", r"^deb\s+(?:\[[^]]*\]\s+)?(\S+/debian/?)\s"):
        if match := re.search(pattern, text, re.MULTILINE):
            return match[1]
    raise TestbedError("no Debian mirror in /etc/apt/sources.list*; add one")


def spark_archive(version: str) -> Path:
    """Return the path of the source archive of a pyspark, which need not be fetched yet."""
    return cache() / "testbed/archives" / f"pyspark-{version}.tar.gz"


def ensure_archive(version: str, sha512: str, say: Callable[[str], None]) -> Path:
    """Return the source archive of pyspark: its folder `deps` is the Spark distribution.

    Raises:
        TestbedError: the package index has it not, or it is not the pinned one.
    """
    archive = spark_archive(version)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (archive.parent / f".{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():
            say(f"{archive.name}: in the cache")
            return archive
        say(f"{archive.name}: fetching")
        with tempfile.TemporaryDirectory(dir=archive.parent) as workshop:
            fetched = Path(workshop) / archive.name
            _fetch_archive(fetched, sha512)
            fetched.rename(archive)
    return archive


def _fetch_archive(target: Path, sha512: str) -> None:
    index = f"{package_index()}/pyspark/"
    with urllib.request.urlopen(index, timeout=60) as answer:  # noqa: S310 - the machine's own index
        page = str(answer.read(), "utf-8")
    address = sdist_address(page, index, target.name)
    with (
        urllib.request.urlopen(address, timeout=60) as answer,  # noqa: S310
        target.open("wb") as out,
    ):
        shutil.copyfileobj(answer, out, 1 << 20)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    if found != sha512:
        raise TestbedError(f"{target.name} has sha512 {found}, not the pinned {sha512}")


def _unpack_spark(target: Path) -> None:
    """Unpack the current Spark distribution, from which the operator's image is built."""
    archive = ensure_archive(pins.SPARK, pins.SPARK_SDIST_SHA512, lambda line: None)
    with tarfile.open(archive) as tar:
        tar.extractall(target / "unpacked", filter="data")


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.endswith("ok installed")
