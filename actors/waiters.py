"""Those who wait for a position, and how they learn of it: a signal at the commit, never a poll.

Bare futures instead of anyio.Event here: a waiter must be woken in the loop turn of the commit.
"""

from asyncio import Future, get_running_loop
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from ..domain.messages import Position

T = TypeVar("T")


class Waiters(Generic[T]):
    """Futures ordered by the position they wait for; each is answered with who reached it."""

    def __init__(self) -> None:
        self._heap: list[tuple[Position, int, Future[T]]] = []
        self._ticket = count()

    def __len__(self) -> int:
        return sum(not future.done() for _, _, future in self._heap)

    def wait_for(self, position: Position) -> "Future[T]":
        """Cancel the future to stop waiting."""
        future: Future[T] = get_running_loop().create_future()
        # Without this, waiters that time out on a replica that never moves would pile up.
        if len(self._heap) > 64 and len(self) < len(self._heap) // 2:
            self._heap = sorted(entry for entry in self._heap if not entry[2].done())
        heappush(self._heap, (position, next(self._ticket), future))
        return future

    def reached(self, position: Position, who: T) -> None:
        heap = self._heap
        while heap and heap[0][0] <= position:
            future = heappop(heap)[2]
            if not future.done():
                future.set_result(who)

    def fail(self, error: Exception) -> None:
        heap, self._heap = self._heap, []
        for _, _, future in heap:
            if not future.done():
                future.set_exception(error)
