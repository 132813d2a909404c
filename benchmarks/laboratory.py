"""Runs the sides of a question by turns (A B A B ...), each in a child process on fresh files."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from .child import Order, Parameter
from .disks import Disk
from .figures import Figures, Rounds

LONGEST_SECONDS = 900.0
"""A side that takes longer than this hangs."""


class SideFailed(RuntimeError):
    """A child process ended without figures. The text holds what it wrote."""


@dataclass(frozen=True, slots=True)
class Side:
    """A run of one side, in a fresh `folder` where it asks for one."""

    name: str
    """`module.function` under benchmarks.sides."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    folder: bool = True
    python: str = sys.executable


@dataclass(frozen=True, slots=True)
class Laboratory:
    """What every question gets: how many rounds, on which disks, and how to run a side."""

    rounds: int
    quick: bool
    disks: Sequence[Disk]
    """The real one first."""
    flights: Path | None = None
    huge: bool = False
    pythons: Sequence[str] = ()
    say: Callable[[str], None] = lambda text: None

    @property
    def disk(self) -> Disk:
        return self.disks[0]

    def scaled(self, count: int) -> int:
        """A count, or a tenth of it with --quick: enough to see that all works, not to judge."""
        return max(count // 10, 1) if self.quick else count

    def alternate(self, sides: Mapping[str, Side], disk: Disk, rounds: int | None = None) -> Rounds:
        measured: dict[str, list[Figures]] = {name: [] for name in sides}
        for number in range(1, (rounds or self.rounds) + 1):
            for name, side in sides.items():
                self.say(f"{disk.name}, round {number}: {name}")
                measured[name].append(self.run(side, disk))
        return Rounds(measured)

    def run(self, side: Side, disk: Disk) -> Figures:
        """One run in a child process. Raises SideFailed with what it wrote."""
        with fresh_folder(disk) if side.folder else no_folder() as folder:
            parameters = dict(side.parameters) | ({} if folder is None else {"folder": str(folder)})
            order = msgspec.json.encode(Order(side.name, parameters)).decode()
            done = subprocess.run(
                [side.python, "-m", "benchmarks.child", order],
                env=os.environ | dict(disk.environment),
                cwd=Path(__file__).parent.parent,
                capture_output=True,
                text=True,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        if done.returncode:
            raise SideFailed(
                f"side {side.name} failed on {disk.name} with {order}:\n{done.stderr[-4000:]}"
            )
        return msgspec.json.decode(done.stdout.rstrip().rpartition("\n")[2], type=Figures)


@contextmanager
def fresh_folder(disk: Disk) -> Iterator[Path]:
    """A new empty folder on a disk, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="aftertide-bench-", dir=disk.root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def no_folder() -> Iterator[None]:
    yield None
