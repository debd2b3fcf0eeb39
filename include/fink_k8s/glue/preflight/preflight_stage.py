"""The stage `preflight`: whether all that a stream needs is there, before anything is made."""

from datetime import timedelta
from itertools import chain

from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.preflight.prerequisites import refuse_errors
from fink_k8s.core.stream.stream_request import DeployRequest, DeployStage, SubmitWith
from fink_k8s.glue.base.connections import (
    ADMIN_CONNECTION,
    cluster,
    registry_login,
    store,
    survey_settings,
)
from fink_k8s.glue.base.steps import release_of, step
from fink_k8s.glue.config.run_request import stream_request


@step(DeployStage.PREFLIGHT, execution_timeout=timedelta(minutes=3))
def check_prerequisites(model: type[DeployRequest | NightRequest]) -> list[str]:
    """Check cluster, operator, room, topic and store; fail with every remedy at once."""
    from fink_k8s.adapters.preflight.cluster_facts import check_facts, check_image_plan
    from fink_k8s.adapters.stream import submit_environment

    request = stream_request(model)
    settings = survey_settings(request.survey)
    release = release_of(request.release)
    seen = check_facts(
        cluster(ADMIN_CONNECTION),
        lambda: store(settings),
        settings,
        request,
        release,
        makes_namespace=request.makes_namespace,
        claim_size=request.new_claim_size,
    )
    if request.submit_with is SubmitWith.SPARK_SUBMIT:
        seen = chain(seen, submit_environment.check_submit(cluster(), settings.namespace))
    if isinstance(request, DeployRequest) and request.builds_image:
        seen = chain(seen, check_image_plan(settings, request, release, registry_login()))
    findings = []
    for finding in seen:
        print(finding)
        findings.append(finding)
    refuse_errors(findings)
    return [str(finding) for finding in findings]
