import pytest

from fink_k8s.core.base.errors import InvalidRequest, Refused
from fink_k8s.core.config.releases import Jar, Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import chosen_jars, jars_from, main_file_of, plan_of, tag_of
from fink_k8s.core.image.image_request import ImageRequest

SHA = "a" * 64
AVRO = Jar(artifact="org.apache.spark:spark-avro_2.12:3.5.7", sha256="b" * 64)
RELEASE = Release(
    fink="4.0",
    spark="3.5.7",
    scala="2.12",
    java=17,
    kubernetes=({"verdict": "tested", "reason": "ran"},),
    jars=(AVRO,),
)
GIT = "https://github.com/astrolabsoftware/fink-broker"


def settings_of(*jars, **fields):
    extra = ",".join(f"{jar}@sha256:{SHA}" for jar in jars)
    defaults = {"image_repository": "r/fink", "image_base": "r/base:1", "extra_jars": extra}
    return Settings(**{**defaults, **fields})


def jars(chosen, *allowed):
    return chosen_jars(ImageRequest(extra_jars=chosen), settings_of(*allowed), RELEASE)


def test_a_jar_that_the_settings_pin_is_taken_with_their_checksum():
    assert jars(["g:prometheus:1.0"], "g:prometheus:1.0", "g:other:2") == (
        Jar(artifact="g:prometheus:1.0", sha256=SHA),
    )


def test_no_jar_is_chosen_that_nobody_asked_for():
    assert jars([], "g:prometheus:1.0") == ()
    assert jars_from("") == ()


@pytest.mark.parametrize(
    ("chosen", "rule"),
    [
        ("g:evil:1.0", r"not in FINK_EXTRA_JARS; use one of g:prometheus:1\.0"),
        ("g:spark-x_2.13:1.0", r"is for Scala 2\.13, but release 4\.0_3\.5\.7 has Scala 2\.12"),
        ("org.apache.spark:spark-avro_2.12:3.4.0", "would be installed twice, as 3.5.7 and 3.4.0"),
    ],
)
def test_a_jar_that_is_not_allowed_or_does_not_fit_is_refused(chosen, rule):
    allowed = ["g:prometheus:1.0", "g:spark-x_2.13:1.0", "org.apache.spark:spark-avro_2.12:3.4.0"]
    with pytest.raises(InvalidRequest, match=rule):
        jars([chosen], *allowed)


def test_two_versions_of_one_jar_are_refused():
    with pytest.raises(InvalidRequest, match="a would be installed twice, as 1 and 2"):
        jars(["g:a:1", "g:a:2"], "g:a:1", "g:a:2")


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ({}, "/opt/fink/stream2raw/bin/stream2raw.py"),
        ({"fink_source": "fink"}, "/opt/fink/bin/stream2raw.py"),
        (
            {"fink_source": "fink", "main_file": "bin/rubin/stream2raw.py"},
            "/opt/fink/bin/rubin/stream2raw.py",
        ),
        ({"dockerfile": "mine", "main_file": "/srv/stream2raw.py"}, "/srv/stream2raw.py"),
    ],
)
def test_each_class_of_image_has_its_program(form, file):
    assert main_file_of(ImageRequest(**form)) == file


def test_the_tag_is_the_releases_unless_the_form_has_one():
    assert tag_of(ImageRequest(), RELEASE) == "4.0_3.5.7"
    assert tag_of(ImageRequest(image_tag="mine"), RELEASE) == "mine"


def test_the_plan_says_all_that_will_be_built():
    settings = settings_of(
        "g:prometheus:1.0",
        sources="https://github.com/astrolabsoftware",
        dockerfiles="/opt/dockerfiles",
        image_requirements="/opt/requirements.txt",
    )
    request = ImageRequest(
        fink_source=GIT, fink_revision="v4", dockerfile="mine", extra_jars=["g:prometheus:1.0"],
        image_action="build", image_tag="mine",
    )  # fmt: skip
    assert plan_of(request, settings, RELEASE) == [
        "image r/fink:mine: Spark 3.5.7 on r/base:1, the Python packages of "
        f"FINK_IMAGE_REQUIREMENTS, extra jars prometheus-1.0.jar, Fink's code from {GIT} at v4, "
        "its requirements: noscience, with the Dockerfile in mine",
        "build what changed in the Docker engine; push nothing",
    ]
    [plain, _] = plan_of(ImageRequest(), settings_of(), RELEASE)
    assert plain == "image r/fink:4.0_3.5.7: Spark 3.5.7 on r/base:1, this project's job"


@pytest.mark.parametrize(
    ("form", "settings", "error", "rule"),
    [
        ({}, {"image_base": ""}, InvalidRequest, "FINK_IMAGE_BASE is not set"),
        ({"fink_source": "fink"}, {}, InvalidRequest, "FINK_SOURCES is not set"),
        ({"dockerfile": "mine"}, {}, InvalidRequest, "FINK_DOCKERFILES is not set"),
        (
            {"fink_source": GIT, "fink_revision": "v4"},
            {"sources": "https://github.com/another"},
            Refused,
            "not below any git address in FINK_SOURCES",
        ),
    ],
)
def test_what_the_settings_do_not_allow_is_refused_before_anything_is_done(
    form, settings, error, rule
):
    with pytest.raises(error, match=rule):
        plan_of(ImageRequest(**form), settings_of(**settings), RELEASE)
