"""What a disk holds after the power was gone: a SQLite database as of an older commit.

In WAL mode a commit is frames at the end of the `-wal` file, the last of them marked; SQLite itself, when it
opens the file, takes what is whole and forgets the rest. So losing the last commits is cutting that file at
an earlier mark. What a checkpoint has carried into the database was flushed before, and stays.
https://www.sqlite.org/fileformat2.html#walformat
"""

import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .incarnation import Incarnation
    from .sqlite import SimulatedSqlite
    from .tape import Tape
    from .trace import Trace

_WAL_HEADER = 32
_FRAME_HEADER = 24
_FULL = 2
"""PRAGMA synchronous: FULL; EXTRA is 3. From here on every commit is flushed."""


@dataclass(slots=True)
class FileState:
    """A database file and its write-ahead log, as they are at the moment of the power loss."""

    path: Path
    database: bytes
    wal: bytes
    flushed: bool
    """Its writer flushes at every commit."""

    def restore(self, tape: "Tape", actor: str, trace: "Trace", *, lying_disk: bool) -> int:
        """Write back what the disk kept; returns how many commits are lost. By default none."""
        ends = commit_ends(self.wal)
        most = 0 if self.flushed and not lying_disk else len(ends)
        lost = tape.index("power loss", most + 1, actor=actor) if most else 0
        kept = len(ends) - lost
        wal = self.wal[: ends[kept - 1] if kept else 0]
        self.path.write_bytes(self.database)
        _beside(self.path, "-wal").write_bytes(wal)
        _beside(self.path, "-shm").unlink(missing_ok=True)
        trace.note(f"power loss of {actor}: {lost} of {len(ends)} commits")
        return lost


def record_files(sqlite: "SimulatedSqlite", incarnation: "Incarnation") -> list[FileState]:
    """The files that an incarnation has open. Raises ValueError where somebody else has, too."""
    flushed: dict[Path, bool] = {}
    for channel in sqlite.of(incarnation):
        for path, writes, synchronous in channel.files():
            known = flushed.get(path, True)
            flushed[path] = known and (synchronous >= _FULL or not writes)
    for channel in sqlite.channels:
        if channel.incarnation is not incarnation:
            for path, _, _ in channel.files():
                if path in flushed:
                    raise ValueError(
                        f"{path} is open in {channel.name}, too, which is on the same machine then: crash or "
                        "close that one before the power loss."
                    )
    states = []
    for path, is_flushed in flushed.items():
        wal = _beside(path, "-wal")
        content = wal.read_bytes() if wal.exists() else b""
        states.append(FileState(path, path.read_bytes(), content, is_flushed))
    return states


def commit_ends(wal: bytes) -> list[int]:
    """Where in a write-ahead log each commit ends, in bytes from its beginning."""
    if len(wal) < _WAL_HEADER:
        return []
    page_size = struct.unpack(">I", wal[8:12])[0]
    salts = wal[16:24]
    ends = []
    for start in range(
        _WAL_HEADER, len(wal) - _FRAME_HEADER - page_size + 1, _FRAME_HEADER + page_size
    ):
        if wal[start + 8 : start + 16] != salts:  # left over from before the log was begun anew
            break
        if wal[start + 4 : start + 8] != b"\0\0\0\0":  # the size of the database after a commit
            ends.append(start + _FRAME_HEADER + page_size)
    return ends


def files_of(raw: sqlite3.Connection) -> list[tuple[Path, bool, int]]:
    """The files behind a connection, whether it wrote, and its PRAGMA synchronous."""
    cursor = raw.cursor()
    cursor.row_factory = None
    synchronous: int = cursor.execute("PRAGMA synchronous").fetchone()[0]
    names = cursor.execute("PRAGMA database_list").fetchall()
    return [(Path(name), raw.total_changes > 0, synchronous) for _, _, name in names if name]


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
