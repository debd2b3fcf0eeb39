import pytest

from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stream.ownership import is_driver, stream_of

STREAM = "stream2raw-ztf-20060101"
OURS = labels_of("ztf", "20060101")


def thing(kind, name="x", labels=None, owner=None):
    owners = [{"kind": owner[0], "name": owner[1]}] if owner else None
    metadata = {"name": name, "namespace": "spark", "labels": labels, "ownerReferences": owners}
    return {"kind": kind, "metadata": metadata}


@pytest.mark.parametrize(
    "part",
    [
        thing("SparkApplication", STREAM),
        thing("Pod", "any", OURS),
        thing("Pod", f"{STREAM}-driver"),
        thing("Pod", "exec-1", {"spark-role": "executor"}, ("Pod", f"{STREAM}-driver")),
        thing("ConfigMap", "spark-drv-1-conf-map", None, ("Pod", f"{STREAM}-driver")),
        thing("ConfigMap", "by-label", OURS),
        thing("Service", f"{STREAM}-ui-svc", None, ("SparkApplication", STREAM)),
    ],
    ids=lambda part: f"{part['kind']} {part['metadata']['name']}",
)
def test_what_carries_the_streams_labels_name_or_owner_is_a_part_of_it(part):
    assert stream_of(part) == STREAM


@pytest.mark.parametrize(
    "foreign",
    [
        thing("SparkApplication", "stream2raw-ztf-20060101-mine"),
        thing("SparkApplication", "spark-pi", OURS),
        thing("Pod", "spark-pi-driver", {"spark-role": "driver"}),
        thing("Pod", "half", {"fink.night": "20060101"}),
        thing("Pod", "odd", {"fink.night": "2006-01-01", "fink.survey": "ztf"}),
        thing("Pod", "odd", {"fink.night": "20060101", "fink.survey": "Atlas"}),
        thing("Pod", "spark-pi-exec", None, ("Pod", "spark-pi-driver")),
        thing("ConfigMap", STREAM),
        thing("ConfigMap", f"{STREAM}-driver"),
        thing("ConfigMap", "kube-root-ca.crt"),
        thing("Service", f"{STREAM}-ui-svc"),
        thing("Service", "other", None, ("Deployment", STREAM)),
    ],
    ids=lambda part: f"{part['kind']} {part['metadata']['name']}",
)
def test_nothing_else_is(foreign):
    assert stream_of(foreign) == ""


def test_a_driver_is_known_by_its_role_or_its_name():
    assert is_driver(thing("Pod", "any", {"spark-role": "driver"}))
    assert is_driver(thing("Pod", f"{STREAM}-driver"))
    assert not is_driver(thing("Pod", "exec-1", {**OURS, "spark-role": "executor"}))
    assert not is_driver(thing("Service", f"{STREAM}-driver"))


def test_a_part_of_a_survey_that_was_taken_out_of_the_file_is_still_its_streams():
    pod = thing("Pod", "any", {"fink.night": "20060101", "fink.survey": "atlas"})
    assert stream_of(pod) == "stream2raw-atlas-20060101"
