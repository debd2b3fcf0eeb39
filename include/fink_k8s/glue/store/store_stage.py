"""The stage `store`: the place of the night's data, made where the form asks."""

from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.stream.stream_request import DeployStage, StoreRequest
from fink_k8s.glue.base.connections import ADMIN_CONNECTION, cluster
from fink_k8s.glue.base.steps import request_of, step


@step(DeployStage.STORE)
def prepare_store() -> bool:
    """Make the store's persistent volume claim where the form asks; tell whether that was new."""
    from fink_k8s.adapters.store.claims import ensure_claim

    settings = load_settings()
    request = request_of(StoreRequest)
    if not request.create_claim:
        print(f"store {settings.store}: nothing is to be made")
        return False
    return ensure_claim(cluster(ADMIN_CONNECTION), settings, request.claim_size, say=print)
