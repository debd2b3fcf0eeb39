"""Versions as Kubernetes and Spark write them."""

from packaging.version import InvalidVersion, Version

from fink_k8s.core.base.errors import InvalidRequest


def version_of(text: str) -> Version:
    """Return a version without the suffix of a distribution: `v1.33.4+k3s1` is 1.33.4.

    Raises:
        InvalidRequest: it is not a version of at least major and minor.
    """
    try:
        version = Version(text.partition("+")[0].partition("-")[0])
    except InvalidVersion:
        version = None
    if version is None or len(version.release) < 2:
        raise InvalidRequest(f"{text!r} is not a valid version; give e.g. 1.34")
    return version
