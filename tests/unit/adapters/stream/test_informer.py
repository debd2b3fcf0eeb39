"""All who follow streams share one list and one watch, which outlive what a network does."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
import pytest_socket

from fink_k8s.adapters.base.async_api import Backoff
from fink_k8s.adapters.base.cluster import Access
from fink_k8s.adapters.base.reflector import Pace
from fink_k8s.adapters.stream import informer
from fink_k8s.adapters.stream.informer import following
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Unavailable
from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stream.stream_names import parse_stream_name
from tests.api_server import APPLICATIONS, NAMESPACE, PODS, ApiServer

STREAM, OTHER = "stream2raw-ztf-20260101", "stream2raw-lsst-20260101"
LIVE = {"gauges": {"app.driver.spark.streaming.q.latency": {"value": 0}}, "counters": {}}
PACE = Pace(probe_seconds=0.05, stale_seconds=0.2, backoff=Backoff(0.01, 0.05))


@pytest.fixture
def api(no_network):
    """The one host that such a test may reach."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    yield ApiServer()
    pytest_socket._remove_restrictions()


def follow(api, scene):
    """Run a scene in an event loop of its own: it gets a function that follows a stream."""

    async def run():
        async with api.serving():

            def cluster():
                if api.has_no_credentials:
                    raise OSError("the kubeconfig is being replaced")
                access = Access(api.url, "token", "", "", "", is_verified=True)
                return SimpleNamespace(access=lambda: access)

            def one(stream=STREAM, key="conn", pace=PACE):
                return following(key, cluster, NAMESPACE, stream, pace)

            before = asyncio.all_tasks()
            await asyncio.wait_for(scene(one), 30)
            left = {task for task in asyncio.all_tasks() - before if not task.done()}
            # What is left belongs to the server's own connections.
            assert not [task for task in left if "fink_k8s" in repr(task.get_coro())]
            assert informer._watches == {}

    asyncio.run(run())


def application(stream=STREAM, state="RUNNING"):
    return {"metadata": {"name": stream}, "status": {"applicationState": {"state": state}}}


def driver(stream=STREAM, phase="Running", uid="u1"):
    labels = {**labels_of(*parse_stream_name(stream)), "spark-role": "driver"}
    metadata = {"name": f"{stream}-driver", "uid": uid, "labels": labels}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase}}


async def until(follower, told, seconds=10):
    """Return the first look that `told` says yes to."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not told(seen := await follower.observe()):
        assert asyncio.get_running_loop().time() < deadline, seen
        await follower.changed(1)
    return seen


async def settled(condition, seconds=5):
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


def test_what_is_there_is_seen_and_each_change_wakes_who_follows(api):
    api.put(APPLICATIONS, application(state="SUBMITTED"))

    async def scene(one):
        async with one() as follower:
            assert (await follower.observe()).state == "SUBMITTED"
            assert not await follower.changed(0.05)
            api.put(APPLICATIONS, application())
            assert await follower.changed(5)
            assert (await follower.observe()).state == "RUNNING"

    follow(api, scene)


def test_however_many_follow_one_list_and_one_watch_of_each_kind_are_asked_for(api):
    names = [f"stream2raw-ztf-202601{day:02d}" for day in range(1, 29)]
    for name in names:
        api.put(APPLICATIONS, application(name))

    async def scene(one):
        async with one(names[0]) as first:
            await first.observe()

            async def look(name):
                async with one(name) as follower:
                    assert (await follower.observe()).state == "RUNNING"

            await asyncio.gather(*map(look, names * 3))
            assert api.open == {APPLICATIONS: 1, PODS: 1}
        asked = {key: n for key, n in api.asked.items() if key[0] in ("list", "watch")}
        assert asked == {
            (verb, path): 1 for verb in ("list", "watch") for path in (APPLICATIONS, PODS)
        }

    follow(api, scene)


def test_a_change_of_one_stream_wakes_no_other(api):
    for name in (STREAM, OTHER):
        api.put(APPLICATIONS, application(name))

    async def scene(one):
        async with one() as follower, one(OTHER) as other:
            await follower.observe(), await other.observe()
            api.put(APPLICATIONS, application(state="FAILING"))
            assert await follower.changed(5)
            assert not await other.changed(0.05)

    follow(api, scene)


def test_the_last_one_who_leaves_ends_it(api):
    async def scene(one):
        async with one():
            async with one() as second:
                await second.observe()
                await settled(lambda: api.open[PODS] == 1)
            assert api.open[PODS] == 1
        await settled(lambda: not +api.open)

    follow(api, scene)


def test_two_connections_have_each_their_own(api):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one(key="a") as first, one(key="b") as second:
            await first.observe(), await second.observe()
            assert api.asked["list", PODS] == 2

    follow(api, scene)


def test_a_connection_that_breaks_is_taken_up_where_it_ended(api):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            api.hang_up(APPLICATIONS)
            api.put(APPLICATIONS, application(state="FAILING"))
            await until(follower, lambda seen: seen.state == "FAILING")
        assert api.asked["list", APPLICATIONS] == 1
        assert api.asked["watch", APPLICATIONS] >= 2

    follow(api, scene)


def test_a_line_that_is_cut_off_is_not_taken_for_an_event(api):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            api.say(APPLICATIONS, b'{"type": "MODIFIED", "object": {"metad')
            api.hang_up(APPLICATIONS)
            api.put(APPLICATIONS, application(state="FAILING"))
            await until(follower, lambda seen: seen.state == "FAILING")

    follow(api, scene)


@pytest.mark.parametrize("how", ["as an event", "as a status"])
def test_a_version_that_has_expired_leads_to_a_new_list(api, how):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            if how == "as an event":
                status = b'{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n'
                api.say(APPLICATIONS, status)
            else:
                api.refuses[APPLICATIONS, "watch"] = 410
                api.hang_up(APPLICATIONS)
                await settled(lambda: api.asked["list", APPLICATIONS] >= 2)
                api.refuses.clear()
            api.objects[APPLICATIONS].clear()
            api.put(APPLICATIONS, application(state="FAILING"))
            await until(follower, lambda seen: seen.state == "FAILING")
        assert api.asked["list", APPLICATIONS] >= 2

    follow(api, scene)


def test_a_bookmark_changes_nothing_but_where_it_goes_on(api):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            api.bookmark(APPLICATIONS)
            assert not await follower.changed(0.05)
            assert (await follower.observe()).state == "RUNNING"

    follow(api, scene)


def test_a_server_that_is_away_is_told_when_what_was_seen_is_too_old(api):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            for path in (APPLICATIONS, PODS):
                for verb in ("list", "watch"):
                    api.refuses[path, verb] = 500
                api.hang_up(path)
            await asyncio.sleep(0.1)
            assert (await follower.observe()).state == "RUNNING", "a moment is no absence"
            await asyncio.sleep(0.3)
            with pytest.raises(Unavailable, match=r"since .* UTC"):
                await follower.observe()
            api.refuses.clear()
            await asyncio.sleep(0.3)
            assert (await follower.observe()).state == "RUNNING"

    follow(api, scene)


def test_a_server_that_is_busy_is_not_asked_in_a_busy_loop(api):
    api.refuses = {(path, "list"): 503 for path in (APPLICATIONS, PODS)}

    async def scene(one):
        async with one() as follower:
            with pytest.raises(Unavailable, match="busy"):
                await follower.observe()
            await asyncio.sleep(0.5)
        # Waits grow to 0.05 s here: some 15 a kind, and not hundreds.
        assert 2 < api.asked["list", PODS] < 60

    follow(api, scene)


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_a_right_that_is_missing_is_told_with_what_grants_it(api, verb):
    api.refuses[PODS, verb] = 403

    async def scene(one):
        async with one() as follower:
            with pytest.raises(NotPermitted, match=r"airflow-account\.yaml"):
                await follower.observe()

    follow(api, scene)


def test_credentials_that_cannot_be_read_anew_end_no_watch(api):
    api.put(APPLICATIONS, application())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            api.has_no_credentials = True
            for verb in ("list", "watch"):
                api.refuses[APPLICATIONS, verb] = 401
            api.hang_up(APPLICATIONS)
            await asyncio.sleep(0.4)
            with pytest.raises(Unavailable, match="cannot be read again"):
                await follower.observe()
            api.has_no_credentials = False
            api.refuses.clear()
            await asyncio.sleep(0.3)
            assert (await follower.observe()).state == "RUNNING"

    follow(api, scene)


def test_a_kind_that_was_unknown_for_a_moment_is_listed_anew(api):
    """An API server that starts may not know yet what its applications are."""
    api.put(APPLICATIONS, application())
    pace = replace(PACE, unknown_seconds=0.1)

    async def scene(one):
        async with one(pace=pace) as follower:
            await follower.observe()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            api.refuses[APPLICATIONS, "watch"] = 404
            api.hang_up(APPLICATIONS)
            await settled(lambda: api.asked["watch", APPLICATIONS] >= 2)
            api.refuses.clear()
            await settled(lambda: api.open[APPLICATIONS] == 1)
            assert (await follower.observe()).state == "RUNNING"
        assert api.asked["list", APPLICATIONS] >= 2

    follow(api, scene)


def test_without_operator_a_driver_is_seen_that_has_no_application(api):
    api.refuses = {(APPLICATIONS, "list"): 404, (APPLICATIONS, "watch"): 404}
    api.put(PODS, driver())

    async def scene(one):
        async with one() as follower:
            seen = await follower.observe()
            assert (seen.application, seen.driver_phase) == (None, "Running")

    follow(api, scene)


def test_a_driver_s_query_is_asked_for_at_a_bounded_rate(api):
    api.put(APPLICATIONS, application())
    api.put(PODS, driver())
    api.metrics = LIVE

    async def scene(one):
        async with one() as follower, one() as other:
            await until(follower, lambda seen: seen.live_queries == 1)
            for _ in range(100):
                assert (await follower.observe()).live_queries == 1
                await other.observe()
            assert api.asked["metrics", f"{STREAM}-driver"] < 10
            api.metrics = {"gauges": {}}
            await until(follower, lambda seen: seen.live_queries == 0)

    follow(api, scene)


def test_a_driver_that_comes_and_goes_is_not_asked_more_often(api):
    api.put(APPLICATIONS, application())
    pace = replace(PACE, probe_seconds=0.5)

    async def scene(one):
        begun = asyncio.get_running_loop().time()
        async with one(pace=pace) as follower:
            for n in range(40):
                api.put(PODS, driver(uid=f"u{n}"))
                assert await follower.changed(5)
                follower.news.clear()
                api.delete(PODS, f"{STREAM}-driver")
                assert await follower.changed(5)
                follower.news.clear()
            seconds = asyncio.get_running_loop().time() - begun
            assert api.asked["metrics", f"{STREAM}-driver"] <= 1 + seconds / 0.5
            assert seconds < 10

    follow(api, scene)


@pytest.mark.parametrize("most", [1, 3])
def test_only_so_many_drivers_are_asked_at_the_same_time(api, most):
    names = [f"stream2raw-ztf-202601{day:02d}" for day in range(1, 11)]
    for name in names:
        api.put(APPLICATIONS, application(name))
        api.put(PODS, driver(name))
    api.metrics, api.metrics_seconds = LIVE, 0.05
    pace = replace(PACE, probes_at_once=most)

    async def scene(one):
        async def look(name):
            async with one(name, pace=pace) as follower:
                await until(follower, lambda seen: seen.live_queries == 1 and seen.probes >= 2)

        await asyncio.gather(*map(look, names))
        assert api.most_at_once == most

    follow(api, scene)


def test_an_error_that_many_are_told_does_not_grow(api):
    api.put(APPLICATIONS, application())
    api.put(PODS, driver())
    api.refuses[PODS, "metrics"] = 403

    async def scene(one):
        async with one() as follower:
            depths = set()
            for _ in range(50):
                with pytest.raises(NotPermitted) as told:
                    await follower.observe()
                depths.add(len(told.traceback))
            assert len(depths) == 1

    follow(api, scene)


def test_no_driver_that_does_not_run_is_asked(api):
    api.put(APPLICATIONS, application(state="SUBMITTED"))
    api.put(PODS, driver(phase="Pending"))

    async def scene(one):
        async with one() as follower:
            assert (await follower.observe()).metrics is None
            await asyncio.sleep(0.2)
        assert not [key for key in api.asked if key[0] in ("metrics", "log")]

    follow(api, scene)


def test_what_a_driver_said_is_known_when_it_is_gone(api):
    api.put(APPLICATIONS, application())
    api.put(PODS, driver())
    api.log = ["started", "the reason of its end"]

    async def scene(one):
        async with one() as follower:
            await until(follower, lambda seen: "reason of its end" in seen.driver_log)
            api.delete(PODS, f"{STREAM}-driver")
            api.put(APPLICATIONS, application(state="FAILING"))
            seen = await until(follower, lambda seen: seen.state == "FAILING")
            assert "the reason of its end" in seen.driver_log
            assert seen.driver is None

    follow(api, scene)


def test_what_one_driver_said_is_not_the_word_of_the_next(api):
    api.put(APPLICATIONS, application())
    api.put(PODS, driver())
    api.log = ["the reason of its end"]

    async def scene(one):
        async with one() as follower:
            await until(follower, lambda seen: "reason of its end" in seen.driver_log)
            api.delete(PODS, f"{STREAM}-driver")
            api.log = []
            api.put(PODS, driver(uid="u2"))
            await until(follower, lambda seen: seen.driver is not None and not seen.driver_log)

    follow(api, scene)


def test_a_driver_s_death_is_seen_at_once_though_its_log_has_no_end(api):
    api.put(APPLICATIONS, application())
    api.put(PODS, driver())

    async def scene(one):
        async with one() as follower:
            await follower.observe()
            await until(follower, lambda seen: "first words" in seen.driver_log)
            api.delete(PODS, f"{STREAM}-driver")
            assert await follower.changed(1)
            await asyncio.wait_for(until(follower, lambda seen: seen.driver is None), 0.5)

    follow(api, scene)


def test_a_name_that_is_no_stream_s_is_refused_before_anything_is_asked(api):
    async def scene(one):
        with pytest.raises(InvalidRequest):
            async with one("spark-operator"):
                pass
        assert not api.asked

    follow(api, scene)
