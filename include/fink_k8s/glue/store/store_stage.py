"""The stage `store`: creates the place of the night's data if the form asks for it."""

from fink_k8s.core.stream.stream_request import DeployRequest, DeployStage
from fink_k8s.glue.base.connections import ADMIN_CONNECTION, cluster, survey_settings
from fink_k8s.glue.base.steps import request_of, step


@step(DeployStage.STORE)
def prepare_store() -> bool:
    """Create the store's claim if the form asks for it; return whether it is new."""
    from fink_k8s.adapters.store.claims import ensure_claim

    request = request_of(DeployRequest)
    settings = survey_settings(request.survey)
    if not request.create_claim:
        print(f"store {settings.store}: nothing to create")
        return False
    return ensure_claim(cluster(ADMIN_CONNECTION), settings, request.claim_size, say=print)
