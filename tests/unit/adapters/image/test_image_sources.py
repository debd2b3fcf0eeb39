import io
import subprocess
import tarfile

import pytest

from fink_k8s.adapters.image import image_sources
from fink_k8s.adapters.image.image_sources import ensure_source, requirements_of
from fink_k8s.core.base.errors import InvalidRequest, Refused, Unavailable
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_request import ImageRequest

PROGRAM = "bin/stream2raw.py"


def git(folder, *words):
    who = ("-c", "user.name=fink", "-c", "user.email=fink@example.org", "-c", "core.hooksPath=/x")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code/fink"
    (folder / "bin").mkdir(parents=True)
    (folder / PROGRAM).write_text("first")
    return folder


@pytest.fixture
def repository(code):
    git(code, "init", "--quiet", "--initial-branch=main")
    git(code, "add", ".")
    git(code, "commit", "--quiet", "-m", "first")
    git(code, "tag", "v1")
    (code / PROGRAM).write_text("second")
    git(code, "commit", "--quiet", "-am", "second")
    return code


@pytest.fixture
def ensure(tmp_path):
    """Bring a source to the cache; return it and what was said."""
    places = f"{tmp_path}/code,file://{tmp_path}/code"
    settings = Settings(sources=places, cache_dir=tmp_path / "cache")

    def ensure(source="fink", **form):
        said = []
        form = {"fink_requirements": "none", **form}
        return ensure_source(settings, ImageRequest(fink_source=source, **form), said.append), said

    return ensure


def program_of(source):
    return (source.folder / PROGRAM).read_text()


def test_a_tag_a_branch_and_a_commit_give_their_own_commit(ensure, repository):
    address = f"file://{repository}"
    for revision, text in (("v1", "first"), ("main", "second")):
        commit = git(repository, "rev-parse", revision)
        for name in (revision, commit, commit[:10]):
            source, _ = ensure(address, fink_revision=name)
            assert (source.revision, program_of(source)) == (commit, text)
            assert source.origin == address
    assert not (source.folder / ".git").exists()


def test_a_commit_that_is_in_the_cache_is_not_fetched_again(ensure, repository):
    commit = git(repository, "rev-parse", "v1")
    ensure(f"file://{repository}", fink_revision="v1")
    _, said = ensure(f"file://{repository}", fink_revision=commit)
    assert not any("fetching" in line for line in said)


def test_a_branch_that_moved_is_followed_even_where_it_was_pushed_anew(ensure, repository):
    ensure(f"file://{repository}", fink_revision="main")
    (repository / PROGRAM).write_text("third")
    git(repository, "commit", "--quiet", "--amend", "-am", "third")
    source, _ = ensure(f"file://{repository}", fink_revision="main")
    assert program_of(source) == "third"


def test_a_revision_that_is_not_there_is_named(ensure, repository):
    with pytest.raises(
        InvalidRequest, match="fink_revision v9 is not a valid branch, tag or commit of"
    ):
        ensure(f"file://{repository}", fink_revision="v9")


def test_an_address_that_does_not_answer_is_unavailable(ensure, tmp_path):
    with pytest.raises(Unavailable, match="cannot download"):
        ensure(f"file://{tmp_path}/code/nothing", fink_revision="v1")


def test_an_address_that_is_not_allowed_is_never_asked(ensure, monkeypatch):
    monkeypatch.setattr(image_sources, "_git", lambda *_, **__: pytest.fail("git was run"))
    with pytest.raises(Refused, match="FINK_SOURCES"):
        ensure("https://example.org/fink", fink_revision="v1")


def test_a_worker_without_git_says_so(ensure, repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="git is not installed on this worker") as caught:
        ensure(f"file://{repository}", fink_revision="v1")
    assert not caught.value.retryable


def test_hooks_of_a_repository_are_not_run(ensure, repository, tmp_path):
    mark = tmp_path / "was-run"
    hook = repository / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    ensure(f"file://{repository}", fink_revision="v1")
    assert not mark.exists()


def tarball(tmp_path, *members):
    path = tmp_path / "code/fink.tar.gz"
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("top", ["", "fink-4.0/"])
def test_a_tarball_is_known_by_its_checksum_with_or_without_a_top_folder(ensure, tmp_path, top):
    tarball(tmp_path, (f"{top}{PROGRAM}", "packed"), (f"{top}setup.cfg", ""))
    source, _ = ensure("fink.tar.gz")
    assert program_of(source) == "packed"
    assert source.revision.startswith("sha256:")
    assert ensure("fink.tar.gz")[1] == ["unchanged: fink.tar.gz is in the cache"]


def test_a_tarball_with_a_dangerous_member_leaves_nothing(ensure, tmp_path):
    tarball(tmp_path, ("../evil.py", "x"), (PROGRAM, ""))
    with pytest.raises(Refused, match=r"fink_source fink\.tar\.gz contains a dangerous member"):
        ensure("fink.tar.gz")
    assert not list(tmp_path.rglob("evil.py"))
    assert list((tmp_path / "cache/sources").iterdir()) == []


def test_a_tarball_that_is_none_is_refused(ensure, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/fink.tar.gz").write_text("<html>not found</html>")
    with pytest.raises(Refused, match="cannot be unpacked"):
        ensure("fink.tar.gz")


def test_a_folder_is_taken_as_it_is(ensure, code):
    source, _ = ensure()
    assert (source.folder, source.revision) == (code, "")


def test_a_file_that_is_no_tarball_is_no_source(ensure, code):
    with pytest.raises(InvalidRequest, match="is not a folder or a tarball"):
        ensure("fink/bin/stream2raw.py")


def test_a_program_that_is_not_there_is_named_with_those_that_are(ensure, code):
    (code / "bin/rubin").mkdir()
    (code / PROGRAM).rename(code / "bin/rubin/stream2raw.py")
    with pytest.raises(InvalidRequest, match=r"it has bin/rubin/stream2raw\.py; correct main_file"):
        ensure()
    ensure(main_file="bin/rubin/stream2raw.py")


def test_requirements_are_finks_own_files(ensure, code):
    (code / "deps/ztf").mkdir(parents=True)
    for name in ("requirements", "requirements-science", "requirements-science-no-deps"):
        (code / f"deps/ztf/{name}.txt").write_text("")
    folder = {"fink_requirements_folder": "deps/ztf"}
    for chosen, files in (
        ("none", []),
        ("noscience", ["requirements.txt"]),
        (
            "science",
            ["requirements.txt", "requirements-science.txt", "requirements-science-no-deps.txt"],
        ),
    ):
        request = ImageRequest(fink_source="fink", fink_requirements=chosen, **folder)
        source, _ = ensure(fink_requirements=chosen, **folder)
        assert [path.name for path in requirements_of(source, request)] == files


def test_requirements_that_are_not_there_are_named_before_anything_is_built(ensure, code):
    with pytest.raises(InvalidRequest, match=r"has no deps/requirements\.txt; set fink_req"):
        ensure(fink_requirements="noscience")


def test_requirements_behind_a_link_out_of_the_code_are_refused(ensure, code, tmp_path):
    (tmp_path / "secret").write_text("token")
    (code / "deps").mkdir()
    (code / "deps/requirements.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match="is a link that leads out of it"):
        ensure(fink_requirements="noscience")
