import sys
import zipfile

import pytest

from fink_k8s.adapters.image.python_packages import (
    Target,
    ensure_packages,
    requirements_from,
    target_from,
)
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.config.settings import Settings

TARGET = Target("3.9", "2.31", "x86_64")


def wheel(folder, name, version="1.0", code="value = 1"):
    """Make a wheel by hand: it is a zip file with three texts beside the code."""
    folder.mkdir(exist_ok=True)
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    path = folder / f"{plain}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{plain}/__init__.py", code)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{plain}={plain}:x\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def said():
    return []


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("numpy==1.23.5", "numpy==1.23.5\n"),
        ("  pandas>=1.3; python_version<'3.10'  # why", "pandas>=1.3; python_version<'3.10'\n"),
        ("light-curve[full]==0.9.6", "light-curve[full]==0.9.6\n"),
        ("idna==3.10 \\\n    --hash=sha256:aa", "idna==3.10      --hash=sha256:aa\n"),
        ("# a comment", ""),
        ("", ""),
    ],
)
def test_packages_by_their_names_are_kept(line, kept, said):
    assert requirements_from(line, "requirements.txt", None, said.append) == kept
    assert said == []


@pytest.mark.parametrize("line", ["-f https://x/y.html", "--extra-index-url https://x", "-i x"])
def test_other_indexes_are_left_out_and_said(line, said):
    assert requirements_from(line, "requirements.txt", None, said.append) == ""
    assert f"ignored {line}" in said[0]


@pytest.mark.parametrize(
    "line", ["-r other.txt", "-e .", "./local", "/opt/x.whl", "--install-option=x", "$(id)"]
)
def test_what_names_a_file_or_an_option_is_refused_with_its_line(line, said):
    with pytest.raises(
        InvalidRequest, match=r"requirements\.txt: line 2, .* is not a package name"
    ):
        requirements_from(f"numpy\n{line}\n", "requirements.txt", None, said.append)


ADDRESSES = [
    "git+https://github.com/astrolabsoftware/fink-science@8.19.2",
    "git+https://github.com/x/y.git@abc#egg=fink_science",
    "fink-science @ https://host/archive/v1.zip",
    "https://host/fink-science.git",
]


@pytest.mark.parametrize("line", ADDRESSES)
def test_a_wheel_stands_for_an_address(line, said, tmp_path):
    mine = wheel(tmp_path / "wheels", "fink-science", "8.19.2")
    text = requirements_from(line, "r.txt", tmp_path / "wheels", said.append)
    assert text == f"{mine}\n"


@pytest.mark.parametrize("line", ADDRESSES)
@pytest.mark.parametrize("versions", [(), ("1.0", "2.0")])
def test_an_address_without_exactly_one_wheel_is_refused_with_the_remedy(
    line, versions, said, tmp_path
):
    for version in versions:
        wheel(tmp_path / "wheels", "fink-science", version)
    with pytest.raises(InvalidRequest, match=r"FINK_WHEELS has .* of it; build one"):
        requirements_from(line, "r.txt", tmp_path / "wheels", said.append)


def test_what_python_says_of_itself_is_read():
    assert target_from("3.11 2.36 x86_64\n") == Target("3.11", "2.36", "x86_64")
    with pytest.raises(InvalidRequest, match="not Python 3 with glibc"):
        target_from("3.11  x86_64")  # musl


def test_wheels_of_older_c_libraries_fit_and_newer_ones_do_not():
    options = TARGET.options()
    assert "--python-version=3.9" in options
    assert "--platform=manylinux_2_31_x86_64" in options
    assert "--platform=manylinux2014_x86_64" in options
    assert not any("manylinux_2_32" in option for option in options)


@pytest.fixture
def ensure(tmp_path, monkeypatch, said):
    """Bring packages with the real pip, which may ask no index here."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    settings = Settings(cache_dir=tmp_path / "cache", wheels=str(wheels))

    def ensure(text, name="requirements.txt"):
        file = tmp_path / name
        file.write_text(text)
        return ensure_packages(settings, [file], lambda: TARGET, said.append)

    return ensure


def test_pip_unpacks_wheels_and_nothing_of_the_worker_stays_in_them(ensure, tmp_path, said):
    wheel(tmp_path / "wheels", "fink-utils")
    wheel(tmp_path / "wheels", "fink-science")
    folder = ensure("fink-utils>=0.9\ngit+https://host/fink-science@1\n")
    assert (folder / "fink_utils/__init__.py").read_text() == "value = 1"
    assert (folder / "fink_science/__init__.py").exists()
    assert not (folder / "bin").exists()
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any(str(tmp_path) in text or sys.executable in text for text in texts)


def test_what_was_brought_is_kept_until_a_requirement_or_a_wheel_changes(ensure, tmp_path, said):
    wheel(tmp_path / "wheels", "fink-utils")
    first = ensure("fink-utils")
    assert ensure("fink-utils") == first
    assert said[-1] == "unchanged: the Python packages for Python 3.9 are in the cache"
    assert ensure("fink-utils==1.0") != first
    wheel(tmp_path / "wheels", "fink-utils", code="value = 2")
    assert ensure("fink-utils") != first


def test_a_package_without_a_wheel_is_named_with_the_remedy(ensure, tmp_path):
    with pytest.raises(Unavailable, match=r"avro-python3.*FINK_WHEELS") as caught:
        ensure("avro-python3")
    assert not caught.value.retryable
    assert list((tmp_path / "cache/packages").iterdir()) == []


def test_requirements_that_are_not_there_are_named(tmp_path, said):
    settings = Settings(cache_dir=tmp_path)
    with pytest.raises(InvalidRequest, match=r"none\.txt does not exist; correct FINK_IMAGE_REQ"):
        ensure_packages(settings, [tmp_path / "none.txt"], lambda: TARGET, said.append)
