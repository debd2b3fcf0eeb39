"""One meaning has one name: no module and no class of the library stands twice."""

import ast
from collections import Counter
from pathlib import Path

import pytest

INCLUDE = Path(__file__).parents[2] / "include"
MODULES = [
    path
    for package in ("fink_k8s", "stream2raw")
    for path in (INCLUDE / package).rglob("*.py")
    if path.name != "__init__.py"
]


def kinds_in(path: Path) -> list[str]:
    """Return the names of a module's classes and of its aliases of types."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                found.append(name)
    return found


def test_no_module_stands_twice():
    stems = Counter(path.stem for path in MODULES)
    assert [stem for stem, count in stems.items() if count > 1] == []


def test_no_class_and_no_alias_stands_twice():
    names = Counter(name for path in MODULES for name in kinds_in(path))
    assert len(names) > 150
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("layer", ["adapters", "glue"])
def test_each_layer_has_rooms_of_the_core_s_names(layer):
    def rooms(name: str) -> set[str]:
        return {path.parent.name for path in MODULES if path.parent.parent.name == name}

    assert set() < rooms(layer) <= rooms("core")
