"""Who runs next: a ready list and a turn for each. No task per actor.

A turn is synchronous, so an actor is never interrupted inside one and needs no lock. Turns run in slices:
between two slices the event loop serves everybody else. After a slice the journal and the activation get
what the turns gave them, so that one transaction and one read serve them all.

Bare `call_soon` instead of anyio here: it is on the path of every command, and costs a quarter.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol

Choose = Callable[[str, int], int]
"""Picks one of n for a named purpose; only a simulation has one."""


class Actor(Protocol):
    def turn(self) -> None:
        """Do what waits. Must not raise; what it can't answer it has to fail itself."""
        ...

    def crashed(self, error: BaseException) -> None:
        """A turn raised after all: answer everybody it would have answered. Must not raise."""
        ...


class Dispatcher:
    """Runs turns, `slice_actors` of them at most before the event loop gets its turn."""

    def __init__(
        self, loop: AbstractEventLoop, *, slice_actors: int = 256, choose: Choose | None = None
    ) -> None:
        self._loop = loop
        # The context of whoever opened the runtime, not of the request that happens to send first.
        self._context = copy_context()
        self._slice = slice_actors
        self._choose = choose
        self._ready: list[Actor] = []
        self._scheduled = False
        self.held = False
        """While true no turns run: the journal is full."""
        self.draining = False
        """True while the runtime closes: journal and activation then have a slice follow whatever they end."""
        self.after_slice: list[Callable[[], None]] = []
        self.turns = 0

    @property
    def idle(self) -> bool:
        return not self._ready

    def wake(self, actor: Actor) -> None:
        """Give the actor a turn after those that were woken before it."""
        self._ready.append(actor)
        if not self._scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Run a slice soon, even an empty one: what is collected for after a slice goes out then."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run, context=self._context)

    def release(self) -> None:
        """Turns may run again."""
        self.held = False
        if self._ready:
            self.schedule()

    def _run(self) -> None:
        self._scheduled = False
        if not self.held:
            ready = self._ready
            if self._choose is not None:
                ready.insert(
                    0, ready.pop(self._choose("dispatcher.next", len(ready)))
                ) if ready else None
            if len(ready) <= self._slice:
                self._ready = []
            else:
                ready, self._ready = ready[: self._slice], ready[self._slice :]
            self.turns += len(ready)
            turns = iter(ready)
            for actor in turns:
                try:
                    actor.turn()
                except BaseException as error:  # one actor's fault must not stop the others
                    actor.crashed(error)
                    if isinstance(error, (KeyboardInterrupt, SystemExit)):
                        self._ready[:0] = turns  # the loop may go on, to let everybody clean up
                        self.schedule()
                        raise
        for flush in self.after_slice:
            flush()
        if self._ready and not self.held:
            self.schedule()
