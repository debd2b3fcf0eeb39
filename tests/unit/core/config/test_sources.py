from pathlib import Path

import pytest

from fink_k8s.core.base.errors import InvalidRequest, Refused
from fink_k8s.core.config.sources import (
    check_address,
    inside,
    places_from,
    relative_path_from,
    revision_from,
    source_from,
)

PLACES = places_from("/opt/fink, https://github.com/astrolabsoftware/ ,file:///srv/git/fink")


def test_places_are_folders_and_addresses():
    assert PLACES.folders == (Path("/opt/fink"),)
    assert PLACES.addresses == ("https://github.com/astrolabsoftware", "file:///srv/git/fink")
    assert str(places_from("")) == "nothing"


@pytest.mark.parametrize(
    "text",
    [
        "opt/fink",
        "/opt/../etc",
        "http://github.com/x",
        "https://user:password@host/x",
        "https://host/../x",
        "git://host/x",
        "ext::sh -c id://x",
        "https://host/$(id)",
        "/opt/\nfink",
    ],
)
def test_other_places_are_refused(text):
    with pytest.raises(ValueError, match=r"must be an absolute path|has an invalid git address"):
        places_from(text)


@pytest.mark.parametrize(
    "source",
    [
        "https://github.com/astrolabsoftware/fink-broker",
        "https://github.com/astrolabsoftware/fink-broker.git",
        "file:///srv/git/fink",
    ],
)
def test_what_lies_below_an_allowed_address_is_allowed(source):
    check_address(source_from(source), PLACES)


@pytest.mark.parametrize(
    "source",
    [
        "https://github.com/astrolabsoftware-of-another/fink-broker",
        "https://github.com.example.org/astrolabsoftware/fink-broker",
        "https://github.com/another/fink-broker",
        "ssh://git@github.com/astrolabsoftware/fink-broker",
        "file:///srv/git/fink-other",
    ],
)
def test_what_only_looks_like_an_allowed_address_is_refused(source):
    with pytest.raises(Refused, match="not below any git address in FINK_SOURCES"):
        check_address(source_from(source), PLACES)


@pytest.mark.parametrize(
    "source",
    [
        "https://github.com/astrolabsoftware/../another/x",
        "https://github.com/astrolabsoftware/%2e%2e/another/x",
        "https://user@github.com/astrolabsoftware/x",
        "https://github.com/astrolabsoftware/x/",
        "https://github.com/-x",
        "../secrets",
        "/etc/passwd",
        "--upload-pack=id",
        "a b",
        "fink\n",
        "~/.ssh",
        ".git",
    ],
)
def test_what_is_no_plain_path_or_address_is_no_source(source):
    with pytest.raises(InvalidRequest):
        source_from(source)


@pytest.mark.parametrize("path", ["bin/stream2raw.py", "a", "deps/ztf", "fink-v1.tar.gz"])
def test_a_plain_relative_path_is_taken(path):
    assert relative_path_from(path) == path


@pytest.mark.parametrize("revision", ["v4.0", "main", "feature/x-1", "a" * 40, "v4.0-3-gabc1234"])
def test_a_revision_is_a_branch_tag_or_commit(revision):
    assert revision_from(revision) == revision


@pytest.mark.parametrize("revision", ["-x", "a..b", "HEAD", "FETCH_HEAD", "a b", "main\n", "a^{}"])
def test_another_revision_is_refused(revision):
    with pytest.raises(InvalidRequest, match="is not a valid branch, tag or commit"):
        revision_from(revision)


def test_a_path_is_found_inside_the_first_folder_that_has_it(tmp_path):
    for name in ("one", "two/fink"):
        (tmp_path / name).mkdir(parents=True)
    folders = [tmp_path / "one", tmp_path / "two"]
    assert inside("fink", folders, "fink_source", "FINK_SOURCES") == tmp_path / "two/fink"


def test_a_path_that_is_nowhere_is_named_with_where_to_put_it(tmp_path):
    with pytest.raises(Refused, match=rf"put it into a folder of FINK_SOURCES \({tmp_path}\)"):
        inside("fink", [tmp_path], "fink_source", "FINK_SOURCES")


def test_a_link_that_leads_out_is_refused(tmp_path):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed/fink").symlink_to(tmp_path)
    with pytest.raises(Refused, match="is a link that leads out of the folders"):
        inside("fink", [tmp_path / "allowed"], "fink_source", "FINK_SOURCES")
