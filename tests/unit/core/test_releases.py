from pathlib import Path

import pytest
from pydantic import ValidationError

from fink_k8s.core.errors import InvalidRequest
from fink_k8s.core.releases import Jar, Release, Verdict, releases_from

ROOT = Path(__file__).parents[3]
MATRIX = """
releases:
  - {fink: "4.0", spark: "3.5.7", scala: "2.12", java: 17, kubernetes_tested: ["1.33", "1.34"]}
  - fink: "0.7.0"
    spark: "2.4.4"
    scala: "2.11"
    java: 8
    kubernetes_tested: ["1.15"]
    kubernetes_highest: "1.15"
"""
ROW = {"fink": "4.0", "spark": "3.5.7", "scala": "2.12", "java": 17, "kubernetes_tested": ["1.34"]}
SHA256 = "0123456789abcdef" * 4


def test_the_first_row_is_the_current_release():
    releases = releases_from(MATRIX)
    assert releases.get().tag == "4.0_3.5.7"
    assert releases.get("0.7.0_2.4.4").java == 8


@pytest.mark.parametrize("tag", ["4.0", "4.0_3.5.8", "4.0_3.5.7 ", "latest"])
def test_an_unknown_release_is_refused_with_those_there_are(tag):
    with pytest.raises(InvalidRequest, match=r"use one of 4\.0_3\.5\.7, 0\.7\.0_2\.4\.4, or add"):
        releases_from(MATRIX).get(tag)


@pytest.mark.parametrize(
    ("tag", "version", "verdict", "words"),
    [
        ("4.0_3.5.7", "1.34", Verdict.TESTED, "Fink 4.0 with Spark 3.5.7 on Kubernetes 1.34: "),
        ("4.0_3.5.7", "v1.33.4+k3s1", Verdict.TESTED, "tested"),
        ("4.0_3.5.7", "1.35", Verdict.UNTESTED, "not tested (tested: 1.33, 1.34)"),
        ("4.0_3.5.7", "1.3", Verdict.UNTESTED, "not tested"),
        ("4.0_3.5.7", "2.34", Verdict.UNTESTED, "not tested"),
        ("0.7.0_2.4.4", "1.15", Verdict.TESTED, "tested"),
        ("0.7.0_2.4.4", "1.9", Verdict.UNTESTED, "not tested"),
        ("0.7.0_2.4.4", "1.16", Verdict.REFUSED, "never works above Kubernetes 1.15; use another"),
        ("0.7.0_2.4.4", "1.115", Verdict.REFUSED, "never works"),
        ("0.7.0_2.4.4", "2.0", Verdict.REFUSED, "never works"),
    ],
)
def test_a_release_is_tested_untested_or_refused_on_a_version(tag, version, verdict, words):
    found, sentence = releases_from(MATRIX).get(tag).check_kubernetes(version)
    assert found is verdict
    assert words in sentence


@pytest.mark.parametrize("version", ["", "1", "one.two", "x1.34"])
def test_what_is_no_version_of_kubernetes_is_refused(version):
    with pytest.raises(InvalidRequest, match=r"no version of Kubernetes; give e\.g\. 1\.34"):
        Release(**ROW).check_kubernetes(version)


def test_a_jars_file_is_named_by_its_coordinates():
    jar = Jar(artifact="org.apache.spark:spark-avro_2.12:3.5.7", sha256=SHA256)
    assert jar.file == "spark-avro_2.12-3.5.7.jar"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("artifact", "spark-avro_2.12:3.5.7"),
        ("artifact", "org.apache.spark:../../x:3.5.7"),
        ("artifact", "a:b:c:d"),
        ("sha256", ""),
        ("sha256", SHA256[:-1]),
        ("sha256", SHA256.upper()),
    ],
)
def test_a_jar_needs_whole_coordinates_and_a_checksum(field, value):
    good = {"artifact": "org.apache.spark:spark-avro_2.12:3.5.7", "sha256": SHA256}
    with pytest.raises(ValidationError, match=field):
        Jar(**{**good, field: value})


@pytest.mark.parametrize(
    "text",
    [
        "releases: []",
        "{}",
        MATRIX.replace("java: 17", "jvm: 17"),
        MATRIX.replace('"1.33"', "1.30"),  # a number in YAML, which would be 1.3
    ],
)
def test_a_matrix_that_breaks_the_rules_is_not_read(text):
    with pytest.raises(ValidationError, match="releases"):
        releases_from(text)


def test_the_projects_own_matrix_is_whole():
    releases = releases_from((ROOT / "include/releases.yaml").read_text())
    tags = [release.tag for release in releases.releases]
    assert len(set(tags)) == len(tags)
    current = releases.get()
    assert len(current.pyspark_sha512) == 128
    assert any(jar.file == f"spark-avro_2.12-{current.spark}.jar" for jar in current.jars)
    for release in releases.releases:
        for version in release.kubernetes_tested:
            assert release.check_kubernetes(version)[0] is Verdict.TESTED
