"""What a run measured and promised, and the JSON file that holds all of it.

Long lists wait on disk, already encoded: a run's memory must not grow with what it reports.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, TypeAlias

import msgspec

Measured: TypeAlias = "bool | int | float | str | list[Measured] | Mapping[str, Measured] | None"

RESERVED = ("scenario", "seed", "time_scale", "seconds", "store", "held", "promises")
_IN_MEMORY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Promise:
    text: str
    held: bool


class Report:
    """Measurements by name, in the order in which they came; a name is used once.

    With `keeps_rows=False`, lists given to `add_rows` are let go: nobody will ask for the file.
    """

    def __init__(self, *, keeps_rows: bool = True) -> None:
        self.measured: dict[str, Measured] = {}
        self.promises: list[Promise] = []
        self.keeps_rows = keeps_rows
        self._rows: dict[tuple[str, ...], IO[bytes]] = {}

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        return all(promise.held for promise in self.promises)

    def measure(self, name: str, value: Measured) -> None:
        """Raises ValueError for a name that the file uses itself or that was measured already."""
        self._check(name)
        self.measured[name] = value

    def add_rows(self, name: str, rows: Iterable[object], *, under: str | None = None) -> None:
        """Add to the list `name`, or `under`.`name`; rows are dataclasses, Structs or what JSON has."""
        key = (name,) if under is None else (under, name)
        if not self.keeps_rows:
            return
        file = self._rows.get(key)
        if file is None:
            self._check(key[0], also_under=under is not None)
            file = self._rows[key] = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
        for row in rows:
            file.write(b"," if file.tell() else b"")
            file.write(msgspec.json.encode(row))

    def write(self, path: Path, about: Mapping[str, Measured]) -> None:
        """Write `about`, the promises, all measurements and all rows as one JSON object.

        Raises OSError where the file can't be written.
        """
        promises: list[Measured] = [
            {"text": each.text, "held": each.held} for each in self.promises
        ]
        head = {**about, "held": self.held, "promises": promises, **self.measured}
        with path.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(head), indent=2)[:-2])
            for name in dict.fromkeys(key[0] for key in self._rows):
                file.write(b",\n  " + msgspec.json.encode(name) + b": ")
                lists = {key: rows for key, rows in self._rows.items() if key[0] == name}
                if (name,) in lists:
                    self._copy(lists[name,], file)
                    continue
                opening = b"{"
                for (_, inner), rows in lists.items():
                    file.write(opening + b"\n    " + msgspec.json.encode(inner) + b": ")
                    self._copy(rows, file)
                    opening = b","
                file.write(b"\n  }")
            file.write(b"\n}\n")

    def close(self) -> None:
        """Let go of what waits on disk."""
        for file in self._rows.values():
            file.close()
        self._rows.clear()

    def _check(self, name: str, *, also_under: bool = False) -> None:
        if name in RESERVED:
            raise ValueError(
                f"{name!r} is a name of the report's own ({', '.join(RESERVED)}): choose another."
            )
        listed = [
            key for key in self._rows if key[0] == name and not (also_under and len(key) == 2)
        ]
        if name in self.measured or listed:
            raise ValueError(f"{name!r} was measured already: a name is used once.")

    @staticmethod
    def _copy(rows: IO[bytes], file: IO[bytes]) -> None:
        rows.seek(0)
        file.write(b"[")
        while chunk := rows.read(_IN_MEMORY_BYTES):
            file.write(chunk)
        file.write(b"]")
