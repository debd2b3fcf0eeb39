"""The stage `preflight`: whether all that a stream needs is there, before anything is made."""

from datetime import timedelta
from itertools import chain

from fink_k8s.core.errors import Refused
from fink_k8s.core.preflight import Level
from fink_k8s.core.requests import Stage, SubmitWith
from fink_k8s.core.settings import load_settings
from fink_k8s.glue.connections import ADMIN_CONNECTION, cluster, registry_login, store
from fink_k8s.glue.steps import deploy_request, release_of, step


@step(Stage.PREFLIGHT, execution_timeout=timedelta(minutes=3), retries=0)
def check_prerequisites() -> list[str]:
    """Check cluster, operator, room, topic and store; fail with every remedy at once."""
    from fink_k8s.adapters import spark_submit
    from fink_k8s.adapters.preflight import inspect, inspect_image

    request = deploy_request()
    settings = load_settings()
    release = release_of(request.release)
    seen = inspect(
        cluster(ADMIN_CONNECTION),
        lambda: store(settings),
        settings,
        request,
        release,
        makes_namespace=Stage.RBAC not in request.skip,
        claim_size=request.claim_size if request.create_claim else None,
    )
    if request.submit_with is SubmitWith.SPARK_SUBMIT:
        seen = chain(seen, spark_submit.inspect(cluster(), settings.namespace))
    if request.builds_image:
        seen = chain(seen, inspect_image(settings, request, release, registry_login()))
    findings = []
    for finding in seen:
        print(finding)
        findings.append(finding)
    errors = [str(finding) for finding in findings if finding.level is Level.ERROR]
    if errors:
        raise Refused("; ".join(errors))
    return [str(finding) for finding in findings]
