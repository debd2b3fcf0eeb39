from pathlib import Path

import pytest
from packaging.version import Version
from pydantic import ValidationError

from docs import matrix
from docs.generate import compatibility
from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Jar, Release, Support, SupportVerdict, releases_from
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.image.image_request import ImageChoice
from fink_k8s.core.preflight.prerequisites import FindingLevel, check_release
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.glue.base import steps

ROOT = Path(__file__).parents[4]
MATRIX = """
releases:
  - fink: "4.0"
    spark: "3.5.7"
    scala: "2.12"
    java: 17
    kubernetes:
      - {lowest: "1.33", highest: "1.34", verdict: tested, reason: it ran}
      - {verdict: expected, reason: nothing speaks against it}
  - fink: "0.7.0"
    spark: "2.4.4"
    scala: "2.11"
    java: 8
    kubernetes:
      - {highest: "1.15", verdict: expected, reason: the document has it}
      - {verdict: refused, reason: Spark 2.4.x never works above Kubernetes 1.15}
"""
ROW = {
    "fink": "4.0",
    "spark": "3.5.7",
    "scala": "2.12",
    "java": 17,
    "kubernetes": [{"verdict": "expected", "reason": "nothing speaks against it"}],
}
SHA256 = "0123456789abcdef" * 4


def test_the_first_row_is_the_current_release():
    releases = releases_from(MATRIX)
    assert releases.get().tag == "4.0_3.5.7"
    assert releases.get("0.7.0_2.4.4").java == 8


@pytest.mark.parametrize("tag", ["4.0", "4.0_3.5.8", "4.0_3.5.7 ", "latest"])
def test_an_unknown_release_is_refused_with_those_there_are(tag):
    with pytest.raises(InvalidRequest, match=r"use one of 4\.0_3\.5\.7, 0\.7\.0_2\.4\.4, or add"):
        releases_from(MATRIX).get(tag)


EXPECTED = "not tested, expected to work: nothing speaks against it"
REFUSED = "refused: Spark 2.4.x never works above Kubernetes 1.15; use another release"


@pytest.mark.parametrize(
    ("tag", "version", "verdict", "words"),
    [
        (
            "4.0_3.5.7",
            "1.34",
            SupportVerdict.TESTED,
            "Fink 4.0 with Spark 3.5.7 on Kubernetes 1.34: tes",
        ),
        ("4.0_3.5.7", "v1.33.4+k3s1", SupportVerdict.TESTED, "tested: it ran"),
        ("4.0_3.5.7", "1.35", SupportVerdict.EXPECTED, EXPECTED),
        ("4.0_3.5.7", "1.3", SupportVerdict.EXPECTED, EXPECTED),
        ("4.0_3.5.7", "2.34", SupportVerdict.EXPECTED, EXPECTED),
        ("0.7.0_2.4.4", "1.15", SupportVerdict.EXPECTED, "the document has it"),
        ("0.7.0_2.4.4", "1.9", SupportVerdict.EXPECTED, "the document has it"),
        ("0.7.0_2.4.4", "1.16", SupportVerdict.REFUSED, REFUSED),
        ("0.7.0_2.4.4", "1.115", SupportVerdict.REFUSED, REFUSED),
        ("0.7.0_2.4.4", "2.0", SupportVerdict.REFUSED, REFUSED),
    ],
)
def test_a_release_is_tested_expected_or_refused_on_a_version(tag, version, verdict, words):
    found, sentence = releases_from(MATRIX).get(tag).check_kubernetes(version)
    assert found is verdict
    assert words in sentence


@pytest.mark.parametrize("version", ["", "1", "one.two", "x1.34"])
def test_what_is_not_a_version_of_kubernetes_is_refused(version):
    row = releases_from(MATRIX).get()
    with pytest.raises(InvalidRequest, match=r"is not a valid version; give e\.g\. 1\.34"):
        row.check_kubernetes(version)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"highest": "1.15", "verdict": "expected", "reason": "x"}],
        [{"verdict": "expected", "reason": "x"}, {"verdict": "refused", "reason": "y"}],
        [{"verdict": "maybe", "reason": "x"}],
        [{"verdict": "refused", "reason": ""}],
    ],
)
def test_a_row_speaks_of_every_version_and_gives_its_reasons(entries):
    with pytest.raises(ValidationError, match="kubernetes"):
        Release(**{**ROW, "kubernetes": entries})


@pytest.mark.parametrize(
    ("support", "words"),
    [
        ({"lowest": "1.34", "highest": "1.34"}, "1.34"),
        ({"highest": "1.15"}, "any to 1.15"),
        ({"lowest": "1.33", "highest": "1.34"}, "1.33 to 1.34"),
        ({}, "any other"),
    ],
)
def test_a_range_reads_as_people_write_it(support, words):
    assert Support(verdict="tested", reason="it ran", **support).versions == words


@pytest.mark.parametrize(
    ("spark", "fixed_in", "fault"),
    [
        ("3.5.7", "3.5.8", "Spark 3.5.7 is below 3.5.8, which fixes CVE-1"),
        ("3.5.8", "3.5.8", ""),
        ("3.5.10", "3.5.8", ""),
        ("3.1.3", "", "Spark 3.1.3: CVE-1"),
    ],
)
def test_a_release_below_the_safe_one_is_told_with_the_reason(spark, fixed_in, fault):
    security = {"fixed_in": fixed_in, "reason": "CVE-1"}
    assert Release(**{**ROW, "spark": spark, "security": security}).check_security() == fault
    assert Release(**ROW).check_security() == ""


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
        MATRIX.replace('lowest: "1.33"', "lowest: 1.30"),  # a number in YAML, which would be 1.3
    ],
)
def test_a_matrix_that_breaks_the_rules_is_not_read(text):
    with pytest.raises(ValidationError, match="releases"):
        releases_from(text)


def test_the_projects_own_matrix_is_whole():
    releases = releases_from((ROOT / "include/releases.yaml").read_text())
    tags = [release.tag for release in releases.releases]
    assert len(set(tags)) == len(tags)
    for release in releases.releases:
        assert len(release.pyspark_sha512) == 128
        files = [jar.file for jar in release.jars]
        assert f"spark-avro_{release.scala}-{release.spark}.jar" in files
        assert f"spark-sql-kafka-0-10_{release.scala}-{release.spark}.jar" in files
        assert len({jar.artifact.rpartition(":")[0] for jar in release.jars}) == len(files)


def test_the_documents_rows_are_there():
    releases = releases_from((ROOT / "include/releases.yaml").read_text())
    for tag, version in (("2.4_3.1.3", "1.18"), ("0.7.0_2.4.4", "1.15")):
        assert releases.get(tag).check_kubernetes(version)[0] is SupportVerdict.EXPECTED
        assert releases.get(tag).published_image.endswith(f":{tag}")


@pytest.mark.parametrize("version", ["1.16", "1.18", "1.34", "2.0"])
def test_spark_2_4_is_refused_above_kubernetes_1_15(version):
    releases = releases_from((ROOT / "include/releases.yaml").read_text())
    verdict, sentence = releases.get("0.7.0_2.4.4").check_kubernetes(version)
    assert verdict is SupportVerdict.REFUSED
    assert "Spark 2.4.x never works above Kubernetes 1.15" in sentence


@pytest.mark.parametrize(
    ("line", "safe"), [("3.5", (3, 5, 8)), ("3.4", (3, 4, 4)), ("3.1", None), ("2.4", None)]
)
def test_every_release_below_the_safe_one_of_its_line_says_so(line, safe):
    releases = releases_from((ROOT / "include/releases.yaml").read_text())
    rows = [row for row in releases.releases if row.spark.startswith(line + ".")]
    assert rows
    for row in rows:
        is_safe = safe is not None and Version(row.spark).release >= safe
        assert bool(row.check_security()) is not is_safe


ANOTHER = """
  - fink: "5.0"
    spark: "4.9.1"
    scala: "2.13"
    java: 21
    kubernetes:
      - {lowest: "1.40", highest: "1.40", verdict: tested, reason: made up}
      - {verdict: refused, reason: made up as well}
    note: This row is made up.
"""


@pytest.mark.shows("CONTRIBUTING.md#add-release")
def test_a_row_alone_adds_a_release_to_page_form_and_application(monkeypatch, tmp_path):
    text = (ROOT / "include/releases.yaml").read_text() + ANOTHER
    (tmp_path / "releases.yaml").write_text(text)
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "releases.yaml")
    monkeypatch.setattr(steps, "INCLUDE", tmp_path)
    tag = "5.0_4.9.1"

    page = compatibility()
    assert f"| {tag} " in page
    assert f"\n## {tag}\n\nThis row is made up.\n" in page

    release = steps.release_of(ImageChoice(release=tag).release)
    assert check_release(release, "1.40").level is FindingLevel.OK
    assert check_release(release, "1.39").level is FindingLevel.ERROR
    with pytest.raises(InvalidRequest, match=rf"is unknown; use one of .*, {tag}, or add"):
        steps.release_of("5.0_4.9.2")

    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    monkeypatch.setenv("FINK_STORE_PREFIX", "s3a://fink")
    request = StreamRequest(night="20260101", topic="alerts")
    image = f"registry.example.org/fink@sha256:{SHA256}"
    spec = make_spark_application(request, load_settings(), image, release.spark)["spec"]
    assert spec["sparkVersion"] == "4.9.1"
