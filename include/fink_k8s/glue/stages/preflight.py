"""The stage `preflight`: whether all that a stream needs is there, before anything is made."""

from datetime import timedelta
from itertools import chain

from fink_k8s.core.errors import Refused
from fink_k8s.core.preflight import Level
from fink_k8s.core.requests import Stage
from fink_k8s.core.settings import load_settings
from fink_k8s.glue.connections import ADMIN_CONNECTION, cluster, registry_login, store
from fink_k8s.glue.steps import deploy_request, release_of, step


@step(Stage.PREFLIGHT, execution_timeout=timedelta(minutes=3), retries=0)
def check_prerequisites() -> list[str]:
    """Check cluster, operator, room, topic and store; fail with every remedy at once."""
    from fink_k8s.adapters.preflight import inspect, inspect_image

    request = deploy_request()
    settings = load_settings()
    release = release_of(request.release)
    on_stream = inspect(
        cluster(ADMIN_CONNECTION),
        store(settings),
        settings,
        request,
        release,
        makes_namespace=Stage.RBAC not in request.skip,
    )
    login = registry_login()
    on_image = inspect_image(settings, request, release, login) if request.builds_image else ()
    findings = []
    for finding in chain(on_stream, on_image):
        print(finding)
        findings.append(finding)
    errors = [str(finding) for finding in findings if finding.level is Level.ERROR]
    if errors:
        raise Refused("; ".join(errors))
    return [str(finding) for finding in findings]
