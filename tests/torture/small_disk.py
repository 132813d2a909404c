"""A disk of some megabytes, to be filled and freed: a tmpfs, where this process may mount one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

MEBIBYTE = 1 << 20


class SmallDisk:
    """What is mounted at `path`. The ballast is a file on it that takes up the space."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, but_for_bytes: int) -> None:
        """Leave less space than that, and whatever was free in parts too small to count."""
        with open(self._ballast, "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * MEBIBYTE)
            except OSError:  # full: that is what was wanted
                pass
            ballast.truncate(max(0, ballast.tell() - but_for_bytes))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, random: Random) -> Iterator[SmallDisk]:
    """Mounted for as long as the context lasts. Skips the test where that is not allowed."""
    folder.mkdir()
    size = random.randint(40, 64) * MEBIBYTE  # write-ahead logs of five files have room in it
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "aftertide-torture", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk; the test with PRAGMA max_page_count ran")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a test that failed may have left the runtime's files open.
        subprocess.run(["umount", "-l", str(folder)], check=True)
