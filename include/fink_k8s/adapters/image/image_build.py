"""The image of a release as a chain of stages: Spark, a base of one's own, the code.

    spark   Spark and its jars on the base image
    base    extra jars and Python packages, where some are asked for
    job     this project's job, or Fink's own code (`fink`), or what a Dockerfile of one's own makes

Each stage is built and pushed only where its inputs changed (docker_engine.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fink_k8s.adapters.image.distribution import ensure_jars_of
from fink_k8s.adapters.image.docker_engine import BuildFailed, Engine, ImageStage
from fink_k8s.adapters.image.image_sources import CodeSource, ensure_source, requirements_of
from fink_k8s.adapters.image.python_packages import Target, ensure_packages, target_from
from fink_k8s.adapters.image.registry import registry_digest, resolve
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.releases import Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.config.sources import inside
from fink_k8s.core.image.image_plan import (
    CODE_HOME,
    LABEL_MAIN_FILE,
    Login,
    chosen_jars,
    main_file_of,
    plan_of,
    tag_of,
)
from fink_k8s.core.image.image_request import ImageAction, ImageRequest

__all__ = [
    "BuildFailed",
    "ImageResult",
    "ensure_image",
    "registry_digest",
    "resolve",
]

_PACKAGES = f"{CODE_HOME}-packages"


@dataclass(frozen=True)
class ImageResult:
    """An image: by digest in the registry, or by its tag in the engine; and what was built."""

    reference: str
    tag: str
    built: tuple[str, ...]


def ensure_image(
    docker: Any,
    settings: Settings,
    release: Release,
    home: Path,
    jars: Path,
    include: Path,
    say: Say,
    request: ImageRequest | None = None,
    login: Login | None = None,
) -> ImageResult:
    """Return the image that `request` asks for, built and pushed as far as its inputs changed.

    Args:
        docker: a client of the Docker API (`docker.APIClient`), logged in where it must be.
        settings: where registry, base image, sources and packages are.
        release: names the tag, unless the request does.
        home: Spark's distribution, a SPARK_HOME.
        jars: the folder of the release's jars.
        include: the folder that holds `image/` and `stream2raw/`.
        say: takes each line of progress as it comes.
        request: what goes into the image, and whether it is built, pushed or both.
        login: of the registry, where it asks for one.

    Raises:
        BuildFailed: a step of a Dockerfile failed.
        InvalidRequest: something that the request names is not there, or does not fit.
        NotPermitted: the registry asks for a login.
        Refused: the settings do not allow what the request names.
        Unavailable: the Docker engine, the registry or a source does not answer.
    """
    request = request or ImageRequest()
    plan_of(request, settings, release)
    source = ensure_source(settings, request, say) if request.fink_source else None
    engine = Engine(docker, settings.image_repository, login, say)
    stages = [_spark_stage(engine, settings, release, home, jars, include, request.image_action)]
    if inputs := _additions(engine, settings, release, request, source, stages[0], say):
        stages.append(_on(engine, stages[-1], "base", include / "image/base/Dockerfile", inputs))
    stages.append(_code_stage(engine, settings, release, request, source, stages[-1], include))

    engine.ensure(stages, request.image_action)
    last, tag = stages[-1], tag_of(request, release)
    final = f"{engine.repository}:{last.tag}"
    if request.image_action in (ImageAction.BUILD, ImageAction.MINIKUBE):
        engine.tag(last, tag)
        return ImageResult(final, tag, tuple(engine.built))
    digest = registry_digest(final, login)
    if digest is None:
        raise Unavailable(f"{final} was pushed, but the registry does not have it; trigger again")
    if registry_digest(f"{engine.repository}:{tag}", login) != digest:
        engine.tag(last, tag)
        engine.push(tag)
    return ImageResult(f"{engine.repository}@{digest}", tag, tuple(engine.built))


def own_dockerfile(settings: Settings, request: ImageRequest) -> Path:
    """Return the Dockerfile of one's own that the request names.

    Raises:
        InvalidRequest: it is not there, or does not build on Spark's stage.
        Refused: it is outside the folder that the settings allow.
    """
    folder = inside(
        request.dockerfile, [Path(settings.dockerfiles)], "dockerfile", "FINK_DOCKERFILES"
    )
    dockerfile = folder / "Dockerfile"
    if not dockerfile.is_file():
        raise InvalidRequest(
            f"dockerfile {request.dockerfile} is a folder without a file Dockerfile; put it there"
        )
    if "${SPARK_IMAGE}" not in dockerfile.read_text():
        raise InvalidRequest(
            f"dockerfile {folder.name} does not build on Spark's stage; start it with the lines "
            "ARG SPARK_IMAGE and FROM ${SPARK_IMAGE}"
        )
    return dockerfile


def _spark_stage(
    engine: Engine,
    settings: Settings,
    release: Release,
    home: Path,
    jars: Path,
    include: Path,
    action: ImageAction,
) -> ImageStage:
    return ImageStage(
        "spark",
        include / "image/spark/Dockerfile",
        {"spark": home, "jars": jars, "entrypoint.sh": include / "image/entrypoint.sh"},
        "BASE",
        settings.image_base_of(release.java),
        engine.key_of(settings.image_base_of(release.java), action),
        _labels(release, "spark"),
    )


def _additions(
    engine: Engine,
    settings: Settings,
    release: Release,
    request: ImageRequest,
    source: CodeSource | None,
    spark: ImageStage,
    say: Say,
) -> dict[str, Path]:
    """Return what the stage `base` adds to Spark's; nothing where it is not needed."""
    inputs = {}
    if extra := chosen_jars(request, settings, release):
        inputs["files/opt/spark/jars"] = ensure_jars_of(settings, extra, say)
    files = [Path(settings.image_requirements)] if settings.image_requirements else []
    files += requirements_of(source, request) if source else []
    if files:

        def target() -> Target:
            return _target(engine, settings, spark, request.image_action)

        inputs[f"files{_PACKAGES}"] = ensure_packages(settings, files, target, say)
    return inputs


def _code_stage(
    engine: Engine,
    settings: Settings,
    release: Release,
    request: ImageRequest,
    source: CodeSource | None,
    parent: ImageStage,
    include: Path,
) -> ImageStage:
    name = "fink" if source else "job"
    inputs = {"stream2raw": include / "stream2raw"}
    labels = {**_labels(release, name), LABEL_MAIN_FILE: main_file_of(request)}
    dockerfile = include / f"image/{'fink' if source else 'stream2raw'}/Dockerfile"
    if source:
        inputs = {"fink": source.folder}
        labels["org.opencontainers.image.source"] = source.origin
        labels["org.opencontainers.image.revision"] = source.revision
    if request.dockerfile:
        name, dockerfile = "own", own_dockerfile(settings, request)
        beside = {path.name: path for path in dockerfile.parent.iterdir() if path != dockerfile}
        inputs = {**beside, **inputs, "stream2raw": include / "stream2raw"}
        labels["fink.dockerfile"] = request.dockerfile
    return _on(engine, parent, name, dockerfile, inputs, labels)


def _on(
    engine: Engine,
    parent: ImageStage,
    name: str,
    dockerfile: Path,
    inputs: dict[str, Path],
    labels: dict[str, str] | None = None,
) -> ImageStage:
    """Return a stage on another of ours."""
    image = f"{engine.repository}:{parent.tag}"
    return ImageStage(name, dockerfile, inputs, "SPARK_IMAGE", image, parent.key, labels or {})


def _target(engine: Engine, settings: Settings, spark: ImageStage, action: ImageAction) -> Target:
    """Return which Python the image has: asked of the image once, then kept."""
    note = settings.cache_dir / "python" / spark.key
    if not note.exists():
        text = engine.output_of(
            engine.ensure_local(spark, action), ("python3", "-c", Target.PROGRAM)
        )
        target_from(text)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(text)
    return target_from(note.read_text())


def _labels(release: Release, name: str) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": f"Fink stream2raw, {name}",
        "org.opencontainers.image.version": release.tag,
    }
