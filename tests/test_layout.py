"""The folders at the top and the one import package are the same code.

A folder that is not linked can't be imported, and one that is not listed is missing from the wheel
while the rest stays green. So a missing line fails here, and the failure is the line to add.
"""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKS = ROOT / "src" / "aftertide"
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
NOT_IN_THE_PACKAGE = {"benchmarks", "docs", "src", "tests", "build", "dist", "out"}


SOURCES = [  # names at the top that hold the package's code: `domain`, `runtime.py`
    path.name
    for path in sorted(ROOT.iterdir())
    if not path.name.startswith((".", "_")) and path.name not in NOT_IN_THE_PACKAGE
    if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))
]


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_has_a_relative_link_in_the_import_package(name: str) -> None:
    link = LINKS / name
    assert link.is_symlink(), (
        f"add the link: ln -s ../../{name} src/aftertide/{name} (if the links are there as plain "
        "files: this checkout was made with git's core.symlinks off)"
    )
    assert link.readlink() == Path("../..") / name


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_has_its_lines_in_the_build_configuration(name: str) -> None:
    wheel = BUILD["wheel"]
    missing = []
    if f"src/aftertide/{name}" not in BUILD["sdist"]["exclude"]:
        missing.append(f'[…targets.sdist] exclude: "src/aftertide/{name}"')
    if name.endswith(".py"):
        if wheel["force-include"].get(name) != f"aftertide/{name}":
            missing.append(f'[…targets.wheel.force-include]: "{name}" = "aftertide/{name}"')
    else:
        if name not in wheel["only-include"]:
            missing.append(f'[…targets.wheel] only-include: "{name}"')
        if wheel["sources"].get(name) != f"aftertide/{name}":
            missing.append(f'[…targets.wheel.sources]: "{name}" = "aftertide/{name}"')
    assert not missing, "add to pyproject.toml:\n" + "\n".join(missing)


def test_each_link_and_each_line_of_the_build_has_its_source() -> None:
    named = {path.name for path in LINKS.iterdir() if path.is_symlink()}
    named |= {Path(path).name for path in BUILD["sdist"]["exclude"]}
    named |= set(BUILD["wheel"]["force-include"]) | set(BUILD["wheel"]["sources"]) - {
        "src/aftertide"
    }
    gone = named - set(SOURCES)
    assert not gone, f"no such source any more, remove its link and its lines: {sorted(gone)}"


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.endswith(".py")])
def test_each_folder_with_code_is_a_regular_package(name: str) -> None:
    folders = {path.parent for path in (ROOT / name).rglob("*.py")} | {ROOT / name}
    missing = [
        str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").exists()
    ]
    assert not missing, f"add an __init__.py with a docstring to {missing}"


def test_neither_the_root_nor_the_tests_are_a_package() -> None:
    """An `__init__.py` in the root would make the checkout's own name part of every module's."""
    found = [ROOT / "__init__.py", *(ROOT / "tests").rglob("__init__.py")]
    assert not [path for path in found if path.exists()]
