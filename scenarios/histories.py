"""The histories of a run's runtimes, a file for each database, written when its runtime closes.

A database that is opened again goes on in its file. What a run did before it failed is written too.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from aftertide import Runtime
from aftertide.simulation import Recording, note_calls, record

from .report import Measured

_MEMORY = ":memory:"


class Histories:
    """Records nothing where there is no file to write into."""

    def __init__(self, path: Path | None, about: Mapping[str, Measured]) -> None:
        self.written: list[Path] = []
        self._path = path
        self._about = about
        self._recordings: dict[str, tuple[Recording, Path]] = {}

    @asynccontextmanager
    async def of(self, database: str, runtime: Runtime) -> AsyncIterator[None]:
        """Record all that is asked of this runtime, as long as this lasts."""
        if self._path is None:
            yield
            return
        recording, path = self._recording(database, runtime, self._path)
        try:
            with note_calls(recording, runtime):
                yield
        except BaseException:
            # What broke the run is what its caller must hear of, whatever becomes of the history.
            with anyio.CancelScope(shield=True), suppress(Exception):
                await self._write(recording, path)
            raise
        await self._write(recording, path)

    async def _write(self, recording: Recording, path: Path) -> None:
        history = await recording.finish()
        history.about.update(self._about)
        history.write(path)
        if path not in self.written:
            self.written.append(path)

    def _recording(self, database: str, runtime: Runtime, path: Path) -> tuple[Recording, Path]:
        known = None if database == _MEMORY else self._recordings.get(database)
        if known is not None:
            known[0].watch(runtime)
            return known
        count = len(self._recordings) + 1
        own = path if count == 1 else path.with_stem(f"{path.stem}-{count}")
        key = f"{database} {count}" if database == _MEMORY else database
        self._recordings[key] = record(runtime), own
        return self._recordings[key]
