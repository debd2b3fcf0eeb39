"""The kinds of value that stand for Kubernetes' objects."""

from collections.abc import Mapping
from typing import Any

KubernetesObject = Mapping[str, Any]
"""An object as the API server gives it, with `kind`; for reading only."""
Manifest = dict[str, Any]
"""An object as it is sent to the API server."""
