"""Where the files lie and what an fsync costs there.

The real disk is as it is. Beside it a tmpfs where every fsync costs a fixed time (none, 1 ms), so
that figures mean something on another machine: 1 ms is a usual laptop or cloud volume, none shows
what the software alone costs. The fixed cost comes from fixed_fsync.c, compiled at run time and
preloaded into each child process.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
SOURCE = Path(__file__).with_name("fixed_fsync.c")
COST_VARIABLE = "FIXED_FSYNC_US"
NEEDED_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Disk:
    """`environment` is what a child process needs so that its fsync costs what the name says."""

    name: str
    root: Path
    environment: tuple[tuple[str, str], ...] = ()


def real_disk(root: Path) -> Disk:
    return Disk("disk", root)


def fixed_disks(library: Path) -> list[Disk]:
    """The same tmpfs twice: an fsync that costs nothing, and one of a millisecond."""
    return [
        Disk(
            f"fsync {name}",
            SHARED_MEMORY,
            (("LD_PRELOAD", str(library)), (COST_VARIABLE, str(cost_us))),
        )
        for name, cost_us in (("none", 0), ("1 ms", 1_000))
    ]


def why_no_fixed_disks() -> str | None:
    """Why a fixed fsync cost can't be had on this machine; None where it can."""
    if sys.platform != "linux":
        return f"a fixed fsync cost is skipped: it needs LD_PRELOAD, and this is {sys.platform}."
    if not os.access(SHARED_MEMORY, os.W_OK):
        return f"a fixed fsync cost is skipped: there is no writable tmpfs at {SHARED_MEMORY}."
    if (free := shutil.disk_usage(SHARED_MEMORY).free) < NEEDED_BYTES:
        return (
            f"a fixed fsync cost is skipped: {SHARED_MEMORY} has {free / 1e6:,.0f} MB free and "
            f"{NEEDED_BYTES / 1e6:,.0f} MB are needed."
        )
    if shutil.which("cc") is None:
        return (
            "a fixed fsync cost is skipped: no C compiler named cc was found. Install gcc or clang."
        )
    return None


def compile_fixed_fsync(folder: Path) -> Path:
    """The shared library, made in `folder`. Raises RuntimeError with the compiler's words."""
    library = folder / "fixed_fsync.so"
    done = subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"cc could not compile {SOURCE.name}:\n{done.stderr}")
    return library


def fsync_calls() -> int | None:
    """How often this process called fsync or fdatasync; None on the real disk: nobody counts."""
    if COST_VARIABLE not in os.environ:
        return None
    counter = ctypes.CDLL(None).fixed_fsync_calls
    counter.restype = ctypes.c_long
    return int(counter())
