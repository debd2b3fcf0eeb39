"""Gather the facts of a preflight; each system that does not answer is a finding of its own."""

from collections.abc import Callable, Iterator

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.image_build import own_dockerfile
from fink_k8s.adapters.image.image_sources import ensure_source
from fink_k8s.adapters.kafka.broker import check_topic
from fink_k8s.adapters.preflight.node_room import free_room
from fink_k8s.adapters.store.claims import is_smaller
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.adapters.stream.streams import holders
from fink_k8s.core.base.errors import FinkError, InvalidRequest, OutOfSight
from fink_k8s.core.config.releases import Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import Login, plan_of
from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.core.preflight import claim_checks, prerequisites
from fink_k8s.core.preflight.prerequisites import Finding, FindingLevel
from fink_k8s.core.stream.states import is_over
from fink_k8s.core.stream.stream_request import StreamRequest, SubmitWith


def check_facts(
    cluster: Cluster,
    open_store: Callable[[], Store],
    settings: Settings,
    request: StreamRequest,
    release: Release,
    *,
    makes_namespace: bool,
    claim_size: str | None = None,
) -> Iterator[Finding]:
    """Yield one finding after the other: cluster, operator, namespace, room, topic, store.

    `claim_size` is the size of a new claim for the store, None if the run creates none.
    """

    def on_cluster() -> Iterator[Finding]:
        yield prerequisites.check_release(release, cluster.version())
        yield from prerequisites.check_security(release)
        if request.submit_with is SubmitWith.SPARK_OPERATOR:
            yield from prerequisites.check_operator_ready(
                cluster.crd_exists(),
                cluster.deployments(settings.operator_namespace),
                settings.operator_namespace,
            )
        there = cluster.find("Namespace", settings.namespace)
        exists = there is not None
        yield prerequisites.check_namespace(settings.namespace, exists, makes_namespace)
        if request.submit_with is SubmitWith.SPARK_SUBMIT:
            yield from prerequisites.check_pod_security(release, there)
        found = holders(cluster, settings.namespace, request.stream) if exists else []
        if alive := [one for one in found if not is_over(one.state)]:
            yield prerequisites.check_way(request, alive[0].submitted_with)
        else:
            free = free_room(cluster.nodes(), cluster.pods())
            yield prerequisites.check_capacity(request, free)

    def on_topic() -> Iterator[Finding]:
        settings.need("kafka_servers")
        try:
            partitions = check_topic(settings.kafka_servers, request.topic)
        except InvalidRequest as error:
            if not request.waits_for_topic:
                raise
            yield Finding(
                FindingLevel.WARNING,
                str(error),
                "or wait: the stream reads it as soon as it exists",
            )
            return
        yield Finding(FindingLevel.OK, f"topic {request.topic} has {partitions} partitions")

    def on_store() -> Iterator[Finding]:
        if settings.store.claim:
            claim = cluster.find(claim_checks.CLAIM_KIND, settings.store.claim, settings.namespace)
            nodes = len(free_room(cluster.nodes(), ()))
            yield from claim_checks.check_claim(
                settings, claim, cluster.storage_classes(), nodes, claim_size
            )
            if claim and claim_size and is_smaller(claim, claim_size):
                yield claim_checks.too_small(claim, claim_size)
        try:
            store = open_store()
            store.check()
        except OutOfSight as error:
            unseen = f"Airflow cannot read store {settings.store}; the driver's own counts are used"
            yield Finding(FindingLevel.WARNING, unseen, str(error))
        else:
            yield Finding(FindingLevel.OK, f"store {settings.store} can be read")
            if topics := store.topics(request.night):
                yield prerequisites.check_checkpoint(request, topics)

    for check in (on_cluster, on_topic, on_store):
        yield from _findings_of(check)


def check_image_plan(
    settings: Settings, request: ImageRequest, release: Release, login: Login | None
) -> Iterator[Finding]:
    """Yield what will be built, and whether everything is available; fetches Fink's code."""

    def on_plan() -> Iterator[Finding]:
        for sentence in plan_of(request, settings, release):
            yield Finding(FindingLevel.OK, sentence)
        if request.fink_source:
            source = ensure_source(settings, request, say=lambda line: None)
            at = f" at {source.revision}" if source.revision else ", a folder as it is now"
            yield Finding(FindingLevel.OK, f"Fink's code: {source.origin}{at}")
        if request.dockerfile:
            yield Finding(FindingLevel.OK, f"Dockerfile: {own_dockerfile(settings, request)}")

    def on_login() -> Iterator[Finding]:
        host = settings.image_repository.partition("/")[0]
        if login and login.host == host and not settings.image_pull_secret:
            yield Finding(
                FindingLevel.WARNING,
                f"registry {host} needs a login, but the cluster does not have it",
                "set FINK_IMAGE_PULL_SECRET; stage rbac creates that Secret",
            )

    for check in (on_plan, on_login):
        yield from _findings_of(check)


def _findings_of(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except FinkError as error:
        yield Finding(FindingLevel.ERROR, str(error), may_pass=error.retryable)
