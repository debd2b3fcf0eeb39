import pytest

from docs.matrix import MATRIX, main, page
from fink_k8s.core.config.releases import releases_from

RELEASES = releases_from(MATRIX.read_text())


def test_the_command_shows_each_release_with_its_verdicts(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for release in RELEASES.releases:
        [first] = [line for line in lines if line.startswith(f"| {release.tag} ")]
        assert f" {release.spark} " in first
    assert len(lines) == 2 + sum(len(release.kubernetes) for release in RELEASES.releases)


@pytest.mark.shows("docs/from-the-command-line.md#release")
def test_the_command_gives_the_verdicts_on_one_version(capsys):
    assert main(["--kubernetes", "1.18"]) == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(said) == {release.tag for release in RELEASES.releases}
    assert said["0.7.0_2.4.4"].startswith("refused")
    assert "Spark 2.4.x never works above Kubernetes 1.15" in said["0.7.0_2.4.4"]
    assert said["2.4_3.1.3"].startswith("expected")


@pytest.mark.parametrize("version", ["new", "1", "34"])
def test_what_is_not_a_version_is_refused(capsys, version):
    assert main(["--kubernetes", version]) == 2
    assert "is not a valid version; give e.g. 1.34" in capsys.readouterr().err


def test_the_page_says_of_each_release_what_is_known_and_what_is_not():
    text = page(RELEASES)
    for release in RELEASES.releases:
        assert f"\n## {release.tag}\n" in text
        assert release.note in text
        assert release.check_security() in text
        for support in release.kubernetes:
            assert support.reason in text
    assert "Unproved:" in text.partition("## 0.7.0_2.4.4")[2]
