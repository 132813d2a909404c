"""The remains of dead incarnations: kept until the world ends, so that no `finally` of theirs runs in it.

A suspended coroutine that is thrown away runs its `finally` blocks; a process that is killed does not. So
the coroutines of a crashed node are held here, and closed only after the loop was: by then nobody can
notice what they do.
"""

import asyncio
import sys
import warnings
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from anyio._backends import _asyncio as anyio_asyncio

from .incarnation import CURRENT, Incarnation

if TYPE_CHECKING:
    from .loop import SimulationLoop

_MOST_REFUSALS = 100
"""A coroutine that awaits in a `finally` refuses to be closed, once for each such await."""


class Graveyard:
    """Tasks and asynchronous generators of incarnations that are dead."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        self._generators: list[AsyncGenerator[Any, Any]] = []
        self._owners: WeakKeyDictionary[AsyncGenerator[Any, Any], Incarnation] = WeakKeyDictionary()

    def begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Remember whose generator this is; called at its first iteration."""
        incarnation = CURRENT.get()
        if incarnation is not None:
            self._owners[generator] = incarnation

    def take(
        self,
        loop: "SimulationLoop",
        tasks: Sequence["asyncio.Task[Any]"],
        incarnation: Incarnation,
    ) -> None:
        """Take over what belonged to the incarnation, so that neither asyncio nor anyio knows of it any more."""
        for task in tasks:
            self.tasks.append(task)
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            # Or asyncio.Runner would cancel them at the end, and wait for ever.
            asyncio.tasks._unregister_task(task)
            # Its value refers to its key: an entry that is left is left for good.
            anyio_asyncio._task_states.pop(task, None)
        for generator, owner in list(self._owners.items()):
            if owner is incarnation:
                self._generators.append(generator)
                loop._asyncgens.discard(generator)

    def bury(self) -> None:
        """Close them all, quietly. The loop is closed: whatever their `finally` blocks want, they don't get."""
        if not self.tasks and not self._generators:
            return
        unraisable = sys.unraisablehook
        sys.unraisablehook = lambda _: None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for task in self.tasks:
                    _close(task.get_coro())
                for generator in self._generators:
                    _close_generator(generator)
                self.tasks.clear()
                self._generators.clear()
        finally:
            sys.unraisablehook = unraisable


def _close(coroutine: Coroutine[Any, Any, Any] | Generator[Any, Any, Any] | None) -> None:
    for _ in range(_MOST_REFUSALS):
        try:
            if coroutine is not None:
                coroutine.close()
            return
        except RuntimeError as error:
            if "ignored GeneratorExit" not in str(error):
                return
        except BaseException:  # noqa: BLE001 - nobody is left to hear it
            return


def _close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """What awaiting its `aclose()` would do, with nothing to wait for."""
    for _ in range(_MOST_REFUSALS):
        try:
            generator.aclose().send(None)
        except BaseException:  # noqa: BLE001 - StopIteration if it is closed, or what nobody hears
            return
