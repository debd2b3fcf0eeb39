"""The images that the testbed itself needs: pause, the base of Spark's images, the operator's."""

import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from testbed import pins
from testbed.builds import key_of
from testbed.places import SOURCES
from testbed.servers import docker

BASE = f"{pins.REGISTRY}/fink/base:java{{java}}"
PAUSE = f"{pins.REGISTRY}/fink/pause:{pins.PAUSE}"
OPERATOR = f"{pins.REGISTRY}/fink/spark-operator"


def ensure(paths: Mapping[str, Path], say: Callable[[str], None]) -> str:
    """Push what the registry lacks; return the operator's image, tagged with its key."""
    dockerfile = SOURCES / "images/operator/Dockerfile"
    tag = key_of(
        [dockerfile, paths["spark-operator"].name, paths["base"].name, paths["spark"].name]
    )
    _once(PAUSE, paths["pause"].name, lambda: _import_pause(paths["pause"]), say)
    ensure_base(pins.JAVA, paths["base"], say)
    operator = f"{OPERATOR}:{tag}"
    _once(operator, tag, lambda: _build_operator(operator, dockerfile, paths), say)
    return operator


def ensure_base(java: int, archive: Path, say: Callable[[str], None]) -> str:
    """Push the base image of a Java version unless the registry has it; return its name."""
    image = BASE.format(java=java)
    _once(image, archive.name, lambda: _import_base(archive, image), say)
    return image


def distribution(spark: Path) -> Path:
    """Return the Spark distribution inside the unpacked source archive."""
    return spark / f"unpacked/pyspark-{pins.SPARK}/deps"


def _once(image: str, key: str, make: Callable[[], None], say: Callable[[str], None]) -> None:
    """Build and push an image unless the registry has one with this key."""
    name = image.split(":")[-1]
    marker = f"{image.removesuffix(f':{name}')}:key-{key.rsplit('-', 1)[-1]}"
    if _in_registry(marker) and _in_registry(image):
        say(f"image {image}: in the registry")
        return
    say(f"image {image}: building and pushing")
    make()
    docker("tag", image, marker)
    docker("push", "--quiet", image)
    docker("push", "--quiet", marker)


def _in_registry(image: str) -> bool:
    repository, _, tag = image.removeprefix(f"{pins.REGISTRY}/").partition(":")
    address = f"http://{pins.REGISTRY}/v2/{repository}/tags/list"
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return tag in (json.load(answer)["tags"] or [])
    except urllib.error.HTTPError:
        return False


def _import_pause(program: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(program, Path(folder) / "pause")
        (Path(folder) / "Dockerfile").write_text(
            'FROM scratch\nCOPY pause /pause\nUSER 65535\nENTRYPOINT ["/pause"]\n'
        )
        docker("build", "--quiet", "--tag", PAUSE, folder)


def _import_base(archive: Path, image: str) -> None:
    docker("import", "--change", "ENV LANG=C.UTF-8", archive, image)


def _build_operator(image: str, dockerfile: Path, paths: Mapping[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        shutil.copy(dockerfile, context / "Dockerfile")
        shutil.copy(paths["spark-operator"], context / "spark-operator")
        # Hard links, because the distribution is large and the context is read only once.
        wanted = ("bin", "jars")
        for part in wanted:
            source = distribution(paths["spark"]) / part
            _link_tree(source, context / "spark" / part)
        base = BASE.format(java=pins.JAVA)
        docker("build", "--quiet", "--build-arg", f"BASE={base}", "--tag", image, context)


def _link_tree(source: Path, target: Path) -> None:
    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:  # another file system
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link)
