"""The fixed cost of an fsync: compiled, preloaded, counted; or skipped with a reason."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import disks
from benchmarks.laboratory import Laboratory, Side, SideFailed

PROBE = """
import os, sys
from benchmarks.disks import fsync_calls
with open(sys.argv[1], "wb") as file:
    for _ in range(3):
        os.fsync(file.fileno())
    os.fdatasync(file.fileno())
print(fsync_calls())
"""

needs_compiler = pytest.mark.skipif(
    disks.why_no_fixed_disks() is not None, reason=str(disks.why_no_fixed_disks())
)


@needs_compiler
def test_every_fsync_of_a_child_is_counted(tmp_path: Path) -> None:
    none, _ = disks.fixed_disks(disks.compile_fixed_fsync(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / "file")],
        env={"PYTHONPATH": str(Path(__file__).parents[2])} | dict(none.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "4"


def test_nobody_counts_on_the_real_disk() -> None:
    assert disks.fsync_calls() is None


def test_without_a_compiler_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "NEEDED_BYTES", 0)
    monkeypatch.setattr(disks, "SHARED_MEMORY", Path("/"))
    monkeypatch.setattr("os.access", lambda path, mode: True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "no C compiler named cc" in str(disks.why_no_fixed_disks())


def test_elsewhere_than_on_linux_the_reason_names_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "this is darwin" in str(disks.why_no_fixed_disks())


@needs_compiler
def test_a_source_that_does_not_compile_fails_with_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("not C")
    monkeypatch.setattr(disks, "SOURCE", broken)
    with pytest.raises(RuntimeError, match=r"broken\.c"):
        disks.compile_fixed_fsync(tmp_path)


def test_a_side_runs_in_a_child_and_brings_its_figures(tmp_path: Path) -> None:
    lab = Laboratory(rounds=2, quick=True, disks=[disks.real_disk(tmp_path)])
    side = Side("future.round_trips", {"clients": 2, "count": 100}, folder=False)
    rounds = lab.alternate({"a": side, "b": side}, lab.disk)
    assert rounds.samples("a", "commands").values == (100.0, 100.0)
    assert rounds.samples("b", "commands").values == (100.0, 100.0)


def test_sides_alternate_within_each_round(tmp_path: Path) -> None:
    said: list[str] = []
    lab = Laboratory(rounds=2, quick=True, disks=[disks.real_disk(tmp_path)], say=said.append)
    side = Side("future.round_trips", {"clients": 1, "count": 1}, folder=False)
    lab.alternate({"a": side, "b": side}, lab.disk)
    assert [text.partition(": ")[2] for text in said] == ["a", "b", "a", "b"]


def test_a_side_that_fails_tells_what_it_wrote_and_leaves_no_folder(tmp_path: Path) -> None:
    lab = Laboratory(rounds=1, quick=True, disks=[disks.real_disk(tmp_path)])
    with pytest.raises(SideFailed, match="ModuleNotFoundError"):
        lab.run(Side("missing.side"), lab.disk)
    assert list(tmp_path.iterdir()) == []
