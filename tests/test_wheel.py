"""What is installed is what was tested: the wheel, built from the sdist, holds every file."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = [sys.executable, "-m", "hatchling", "build", "--directory"]
IMPORT_ALL = """\
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import aftertide
assert aftertide.__file__.startswith(sys.argv[1]), aftertide.__file__
for module in pkgutil.walk_packages(aftertide.__path__, "aftertide."):
    name = module.name
    if not name.startswith(tuple(sys.argv[2:])) and not name.endswith(".__main__"):
        importlib.import_module(name)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in two steps, as an installer without a wheel would: the sdist holds no links."""
    folder = tmp_path_factory.mktemp("dist")
    run(*BUILD, folder, "--target", "sdist")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder, filter="data")
    unpacked = next(path for path in folder.iterdir() if path.is_dir())
    run(*BUILD, folder, "--target", "wheel", cwd=unpacked)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    package = ROOT / "src" / "aftertide"
    expected = set()
    for entry in package.iterdir():
        files = entry.resolve().rglob("*") if entry.is_dir() else [entry.resolve()]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                expected.add(
                    str("aftertide" / Path(entry.name) / file.relative_to(entry.resolve()))
                )
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected


def test_every_module_of_the_wheel_imports(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    run(sys.executable, "-I", "-W", "error", "-c", IMPORT_ALL, tmp_path, cwd=tmp_path)


@pytest.mark.torture
@pytest.mark.timeout(300)
def test_the_wheel_alone_brings_all_that_the_core_needs(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment without extras; only the terminal's side may ask for rich."""
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    asks_for_rich = "aftertide.scenarios.terminal"
    run(python, "-I", "-c", IMPORT_ALL, site, asks_for_rich, cwd=tmp_path)
    assert run(tmp_path / "venv" / "bin" / "aftertide", "--version").startswith("aftertide ")
