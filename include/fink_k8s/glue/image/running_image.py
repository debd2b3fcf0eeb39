"""Which image a stream runs, and which program in it, according to the image's labels."""

from fink_k8s.adapters.image.registry import image_labels, resolve
from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import LABEL_MAIN_FILE, OWN_MAIN_FILE, tag_of
from fink_k8s.core.image.image_request import ImageChoice
from fink_k8s.glue.base.connections import docker_client, registry_login


def image_to_run(
    request: ImageChoice, settings: Settings, release: Release, built: str | None
) -> tuple[str, str]:
    """Return (image, program in it) of a stream: by digest, or by tag in minikube's Docker.

    Args:
        request: names a tag or digest where the stage `image` was skipped.
        settings: where the registry is.
        release: names the tag where the request does not.
        built: what the stage `image` returned; None where it was skipped.

    Raises:
        InvalidRequest: the image does not exist.
        NotPermitted: the registry asks for a login.
        Unavailable: the registry or the Docker engine does not answer.
    """
    if request.is_in_minikube:
        image = built or f"{settings.image_repository}:{tag_of(request, release)}"
        docker = docker_client()
        if not docker.images(name=image, quiet=True):
            raise InvalidRequest(
                f"image {image} is not in minikube's Docker engine; run "
                "fink_image with build-in-minikube"
            )
        labels = docker.inspect_image(image)["Config"]["Labels"] or {}
    else:
        login = registry_login()
        image = built or resolve(settings.image_repository, tag_of(request, release), login)
        labels = image_labels(image, login)
    if not built and request.main_file.startswith("/"):
        return image, request.main_file
    return image, labels.get(LABEL_MAIN_FILE, OWN_MAIN_FILE)
