import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.image_references import is_image_reference, is_image_tag
from fink_k8s.core.config.settings import Settings, default_cache_dir, load_settings
from fink_k8s.core.config.surveys import Survey, survey_of
from fink_k8s.core.kafka.servers import kafka_servers_from
from tests.surveys import write_surveys

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Let no variable of the installation that runs the tests in."""
    for name in os.environ:
        if name.startswith("FINK_"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_each_field_is_set_by_its_variable(environment):
    environment.setenv("FINK_NAMESPACE", "streams")
    environment.setenv("FINK_KAFKA_SERVERS", "kafka-0:9092,kafka-1:9092")
    environment.setenv("FINK_STORE_PREFIX", "s3a://fink/night/")
    environment.setenv("FINK_STORE_ENDPOINT", "http://s3:7070/")
    environment.setenv("FINK_IMAGE_REPOSITORY", "localhost:5000/fink/stream2raw")
    environment.setenv("FINK_IMAGE_BASE", f"debian@{DIGEST}")
    environment.setenv("FINK_CACHE_DIR", "/var/cache/fink")
    settings = load_settings()
    assert settings.namespace == "streams"
    assert settings.kafka_servers == "kafka-0:9092,kafka-1:9092"
    assert settings.store_prefix == "s3a://fink/night"
    assert settings.store_endpoint == "http://s3:7070"
    assert settings.image_repository == "localhost:5000/fink/stream2raw"
    assert settings.image_base == f"debian@{DIGEST}"
    assert settings.cache_dir == Path("/var/cache/fink")


def test_an_empty_variable_leaves_the_default(environment):
    environment.setenv("FINK_NAMESPACE", "")
    environment.setenv("FINK_STORE_PREFIX", "")
    settings = load_settings()
    assert settings.namespace == "spark"
    assert settings.store_prefix == ""


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().namespace = "other"


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("FINK_NAMESPACE", "Spark", "lower-case letters"),
        ("FINK_OPERATOR_NAMESPACE", "a" * 64, "at most 63"),
        ("FINK_SERVICE_ACCOUNT", "spark;id", "lower-case letters"),
        ("FINK_STORE_SECRET", "fink_store", "lower-case letters"),
        ("FINK_KAFKA_SERVERS", "kafka", "not host:port"),
        ("FINK_STORE_PREFIX", "file:///data", "must begin with s3a://, hdfs:// or pvc://"),
        ("FINK_STORE_PREFIX", "pvc://Fink", "claim .* is not a valid Kubernetes name"),
        ("FINK_STORE_MOUNT", "mnt/fink", "must be an absolute path"),
        ("FINK_STORE_MOUNT", "/mnt/../etc", "no '..'"),
        ("FINK_CLAIM_CLASS", "Fast", "is not a valid name of a storage class"),
        ("FINK_CLAIM_ACCESS_MODE", "ReadOnlyMany", "'ReadWriteMany' or 'ReadWriteOnce'"),
        ("FINK_STORE_ENDPOINT", "s3:7070", "must be http://"),
        ("FINK_IMAGE_REPOSITORY", "Fink/Stream2raw", "not a valid image repository"),
        ("FINK_IMAGE_BASE", "debian", "not a valid image reference"),
    ],
)
def test_a_bad_variable_is_named_with_its_rule(environment, variable, value, rule):
    environment.setenv(variable, value)
    with pytest.raises(InvalidRequest, match=rule) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{variable} ")
    assert "\n" not in str(caught.value)


def test_a_password_in_a_stores_address_stays_out_of_the_message(environment):
    environment.setenv("FINK_STORE_PREFIX", "s3a://user:hunter2@fink")
    with pytest.raises(InvalidRequest, match="must not contain a user or password") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_password_among_the_brokers_stays_out_of_the_message(environment):
    environment.setenv("FINK_KAFKA_SERVERS", "user:hunter2@kafka:9092")
    with pytest.raises(InvalidRequest, match="not host:port") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_what_is_needed_and_not_set_is_named_with_its_variable(environment):
    environment.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    settings = load_settings()
    settings.need("kafka_servers")
    with pytest.raises(InvalidRequest, match=r"^FINK_STORE_PREFIX is not set \(Where raw .*\.env$"):
        settings.need("kafka_servers", "store_prefix")


def test_the_cache_follows_xdg(environment):
    environment.setenv("XDG_CACHE_HOME", "/c")
    assert default_cache_dir() == Path("/c/fink-k8s-airflow")
    environment.delenv("XDG_CACHE_HOME")
    environment.setenv("HOME", "/home/fink")
    assert default_cache_dir() == Path("/home/fink/.cache/fink-k8s-airflow")


@pytest.mark.parametrize(
    "servers", ["kafka:9092", "10.0.0.1:1", "a.example.org:65535", "kafka-0:9092,kafka-1:9092"]
)
def test_brokers_are_host_and_port(servers):
    assert kafka_servers_from(servers) == servers


@pytest.mark.parametrize(
    "servers",
    [
        "",
        "kafka",
        "kafka:",
        ":9092",
        "kafka:0",
        "kafka:65536",
        "kafka:port",
        "kafka:9092,",
        "kafka:9092, other:9092",
        "kafka:9092;other:9092",
        "http://kafka:9092",
        "user:password@kafka:9092",
        "kafka:9092\n",
        "kafka:\uff19\uff10\uff19\uff12",
        "$(id):9092",
    ],
)
def test_other_brokers_are_refused_with_an_example(servers):
    with pytest.raises(ValueError, match=r"not host:port .* enter e\.g\. kafka-0:9092"):
        kafka_servers_from(servers)


@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteMany"])
def test_a_claim_is_made_as_the_installation_says(environment, mode):
    environment.setenv("FINK_STORE_PREFIX", "pvc://fink-raw/ztf/")
    environment.setenv("FINK_STORE_MOUNT", "/mnt/fink/")
    environment.setenv("FINK_CLAIM_CLASS", "nfs.example.org")
    environment.setenv("FINK_CLAIM_ACCESS_MODE", mode)
    settings = load_settings()
    assert settings.store_prefix == "pvc://fink-raw/ztf"
    assert (settings.store.claim, settings.store.path) == ("fink-raw", "/ztf")
    assert (settings.store_mount, settings.claim_class) == ("/mnt/fink", "nfs.example.org")
    assert settings.claim_access_mode == mode


@pytest.mark.parametrize(
    ("prefix", "url", "at"),
    [
        ("pvc://raw/ztf", "file:///var/lib/fink/ztf", "pvc://raw/ztf"),
        ("pvc://raw/ztf", "file:///var/lib/fink/other", "file:///var/lib/fink/other"),
        ("pvc://raw/ztf", "s3a://fink", "s3a://fink"),
        ("s3a://fink", "s3a://fink/other", "s3a://fink/other"),
        ("s3a://fink", "", "s3a://fink"),
        ("", "s3a://fink", "s3a://fink"),
        ("", "", ""),
    ],
)
def test_a_stream_s_own_word_tells_its_store(prefix, url, at):
    assert Settings(store_prefix=prefix).at_store(url).store_prefix == at


def test_a_folder_of_another_claim_is_no_store_of_this_installation():
    settings = Settings(store_prefix="pvc://raw").at_store("file:///var/lib/fink/other")
    with pytest.raises(InvalidRequest, match="must begin with"):
        _ = settings.store


def test_an_address_that_is_not_set_has_no_parts():
    with pytest.raises(InvalidRequest, match="FINK_STORE_PREFIX is not set"):
        _ = Settings().store


@pytest.mark.parametrize(
    ("endpoint", "kept"),
    [
        ("http://s3:7070", "http://s3:7070"),
        ("https://s3.example.org/", "https://s3.example.org"),
        ("http://[::1]:7070", "http://[::1]:7070"),
        ("http://s3:1", "http://s3:1"),
        ("https://s3:65535", "https://s3:65535"),
    ],
)
def test_an_endpoint_is_a_plain_address(endpoint, kept):
    assert Settings(store_endpoint=endpoint).store_endpoint == kept


@pytest.mark.parametrize(
    ("endpoint", "rule"),
    [
        ("s3:7070", "must be http://host"),
        ("ftp://s3", "must be http://host"),
        ("http://", "must be http://host"),
        ("http://:7070", "must be http://host"),
        ("http://user:password@s3", "without a user"),
        ("http://s3/bucket", "without a path; the bucket belongs in FINK_STORE_PREFIX"),
        ("http://s3?a=b", "without a path"),
        ("http://s3#a", "without a path"),
        ("http://s3 ", "without a path"),
        ("http://s3:port", "must be"),
        ("http://s3:0", "must be"),
        ("http://s3:65536", "must be"),
        ("http://s3:99999", "must be"),
        ("http://s 3", "must be"),
        ("http://s3:70\n70", "must be"),
    ],
)
def test_another_endpoint_is_refused_with_the_rule(endpoint, rule):
    with pytest.raises(ValidationError, match=rule):
        Settings(store_endpoint=endpoint)


@pytest.mark.parametrize(
    "repository", ["fink", "fink/stream2raw", "localhost:5000/fink/stream2raw", "r.org/a_b/c--d"]
)
def test_a_repository_is_a_path_with_or_without_host(repository):
    assert Settings(image_repository=repository).image_repository == repository


@pytest.mark.parametrize(
    "repository",
    ["Fink", "fink:4.0", f"fink@{DIGEST}", "fink/", "/fink", "fi nk", "fink\n", "$(id)", "a/../b"],
)
def test_another_repository_is_refused_with_the_rule(repository):
    with pytest.raises(
        ValidationError, match="enter host\\[:port\\]/path in lower case, without a tag"
    ):
        Settings(image_repository=repository)


@pytest.mark.parametrize(
    "reference",
    [
        "debian:bookworm",
        "localhost:5000/fink/base:1",
        f"fink@{DIGEST}",
        f"localhost:5000/fink:4.0_3.5.7@{DIGEST}",
    ],
)
def test_a_reference_has_a_tag_or_a_digest(reference):
    assert is_image_reference(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "debian",
        "localhost:5000/fink",
        "debian:",
        "debian:a b",
        "debian:$(id)",
        "debian:a\n",
        "debian@",
        "debian@sha256:abc",
        f"debian@{DIGEST.upper()}",
        f"debian:@{DIGEST}",
        "Debian:bookworm",
        ":bookworm",
        "a:b:c",
    ],
)
def test_what_names_no_single_image_is_no_reference(reference):
    assert not is_image_reference(reference)


@pytest.mark.parametrize(
    ("tag", "good"),
    [
        ("4.0_3.5.7", True),
        ("latest", True),
        ("_", True),
        ("a" * 128, True),
        ("", False),
        ("-a", False),
        (".a", False),
        ("a b", False),
        ("a\n", False),
        ("$(id)", False),
        ("a/b", False),
        ("a:b", False),
        ("a" * 129, False),
    ],
)
def test_a_tag_is_one_word(tag, good):
    assert is_image_tag(tag) is good


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("FINK_SOURCES", "opt/fink", "must be an absolute path"),
        ("FINK_SOURCES", "https://u:secret-canary@host/x", "without a password"),
        ("FINK_DOCKERFILES", "../x", "must be an absolute path"),
        ("FINK_WHEELS", "wheels", "must be an absolute path"),
        ("FINK_IMAGE_REQUIREMENTS", "/a/../b", "must be an absolute path"),
        ("FINK_IMAGE_PULL_SECRET", "Not_A_Name", "is not a valid Kubernetes name"),
        ("FINK_EXTRA_JARS", "g:a:1", "group:artifact:version@sha256:"),
        ("FINK_EXTRA_JARS", "g:a:1@sha256:abc", "group:artifact:version@sha256:"),
        ("FINK_EXTRA_JARS", f"g:a@{DIGEST}", "group:artifact:version@sha256:"),
    ],
)
def test_a_place_or_jar_that_breaks_a_rule_is_named(environment, variable, value, rule):
    environment.setenv(variable, value)
    with pytest.raises(InvalidRequest, match=variable) as caught:
        load_settings()
    assert rule in str(caught.value)
    assert "secret-canary" not in str(caught.value)


def test_places_and_jars_are_taken_as_they_are_written(environment):
    environment.setenv("FINK_SOURCES", "/opt/fink,https://github.com/astrolabsoftware")
    environment.setenv("FINK_EXTRA_JARS", f"g:a:1@{DIGEST}, g:b:2@{DIGEST}")
    settings = load_settings()
    assert settings.sources == "/opt/fink,https://github.com/astrolabsoftware"
    assert settings.extra_jars == f"g:a:1@{DIGEST}, g:b:2@{DIGEST}"


def test_an_address_and_a_base_may_serve_several_releases():
    settings = Settings(
        image_base="localhost:5000/fink/base:java{java}",
        spark_url="file:///srv/pyspark-{version}.tar.gz",
    )
    assert settings.image_base_of(11) == "localhost:5000/fink/base:java11"
    assert settings.spark_url_of("3.1.3") == "file:///srv/pyspark-3.1.3.tar.gz"


def test_without_a_placeholder_one_base_and_one_address_serve_all():
    settings = Settings(image_base="fink/base:1", spark_url="https://x.org/spark.tgz")
    assert settings.image_base_of(11) == "fink/base:1"
    assert settings.spark_url_of("3.1.3") == "https://x.org/spark.tgz"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_base", "fink/base:java{version}"),
        ("image_base", "fink/base:java{java"),
        ("image_base", "fink/base{java}"),
        ("image_base", "fink/base:{{java}}"),
        ("spark_url", "https://x.org/{java}.tgz"),
        ("spark_url", "https://x.org/{}.tgz"),
        ("spark_url", "https://x.org/{version.tgz"),
        ("spark_url", "https://x.org/{{version}}.tgz"),
    ],
)
def test_a_placeholder_that_is_not_known_is_refused(field, value):
    with pytest.raises(ValidationError, match=r"\{java\}|\{version\}"):
        Settings(**{field: value})


@pytest.mark.parametrize(("value", "is_right"), [("1", True), ("1440", True), ("0", False),
                                                 ("1441", False), ("often", False)])  # fmt: skip
def test_how_often_is_looked_has_its_bounds(environment, value, is_right):
    assert load_settings().health_minutes == 5
    environment.setenv("FINK_HEALTH_MINUTES", value)
    if is_right:
        assert load_settings().health_minutes == int(value)
    else:
        with pytest.raises(InvalidRequest, match="FINK_HEALTH_MINUTES"):
            load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "instead"),
    [
        ("FINK_NIGHTS", "ztf=UTC 18:00-06:00", "`night` of the survey"),
        ("FINK_TOPICS", "lsst=lsst_alerts_{night}", "`topic` of the survey"),
        ("FINK_NIGHT_SURVEY", "lsst", "an entry for each survey"),
        ("FINK_NIGHT_FORM", '{"executors": 4}', "`form` of the survey"),
    ],
)
def test_a_variable_that_surveys_yaml_has_replaced_is_named_with_what_to_write(
    environment, variable, value, instead
):
    environment.setenv(variable, value)
    with pytest.raises(InvalidRequest, match=rf"^{variable} is no longer used; .* set {instead}"):
        load_settings()
    environment.setenv(variable, "")
    assert load_settings().namespace == "spark"


def test_surveys_that_break_a_rule_stop_every_component(environment, tmp_path):
    file = tmp_path / "surveys.yaml"
    file.write_text("surveys: []")
    environment.setenv("FINK_SURVEYS", str(file))
    with pytest.raises(InvalidRequest, match="the list of surveys is empty"):
        load_settings()


@pytest.mark.parametrize(
    ("own", "servers", "prefix"),
    [
        ({}, "kafka:9092", "s3a://fink/raw"),
        ({"store_prefix": "lsst"}, "kafka:9092", "s3a://fink/raw/lsst"),
        ({"store_prefix": "s3a://other/lsst"}, "kafka:9092", "s3a://other/lsst"),
        ({"brokers": {"servers": "k:1"}}, "k:1", "s3a://fink/raw"),
    ],
)
def test_a_survey_has_its_own_brokers_and_folder(environment, own, servers, prefix):
    environment.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    environment.setenv("FINK_STORE_PREFIX", "s3a://fink/raw")
    night = {"zone": "UTC", "opens": "00:00", "closes": "00:00"}
    settings = load_settings().for_survey(Survey(name="a", night=night, **own))
    assert (settings.kafka_servers, settings.store_prefix) == (servers, prefix)


def test_a_survey_s_folder_needs_the_installation_s_store(environment):
    survey = survey_of("lsst")
    assert load_settings().for_survey(survey).store_prefix == ""


@pytest.mark.parametrize(
    ("one", "other", "folder"),
    [
        ("x", "s3a://fink/x", "s3a://fink/x/raw"),
        ("", "s3a://fink", "s3a://fink/raw"),
        ("", "raw", "s3a://fink/raw"),
        ("a", "a/raw_checkpoint", "s3a://fink/a/raw_checkpoint"),
    ],
)
def test_two_surveys_that_would_write_to_one_folder_are_refused(
    environment, tmp_path, one, other, folder
):
    environment.setenv("FINK_STORE_PREFIX", "s3a://fink")
    rows = {"b": {"store_prefix": one}, "c": {"store_prefix": other}}
    environment.setenv("FINK_SURVEYS", str(write_surveys(tmp_path, **rows)))
    with pytest.raises(InvalidRequest, match=f"surveys b and c would both write to {folder}"):
        load_settings()
    rows["c"] = {"store_prefix": "elsewhere"}
    environment.setenv("FINK_SURVEYS", str(write_surveys(tmp_path, **rows)))
    assert load_settings().store_prefix == "s3a://fink"
