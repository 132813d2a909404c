"""Noting every call on a runtime, whoever makes it: for code that was not written with a recording in mind.

Stands in for the runtime's own methods while the recording lasts, on this one object: the class, and every
other runtime, stay as they are. Each task is a session; what a query asks for is what the caller wrote.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from ..domain.consistency import Answer, Answers, Consistency, Eventual
from ..domain.decider import Decider
from ..domain.errors import AftertideError
from ..domain.messages import Position, Receipt, stream_name
from ..runtime import Runtime
from .client import Client
from .recording import Recording
from .records import Executed


class Original:
    """The runtime's methods as they were."""

    def __init__(self, runtime: Runtime) -> None:
        self.execute = runtime.execute
        self.execute_many = runtime.execute_many
        self.query = runtime.query
        self.settle = runtime.settle


@contextmanager
def note_calls(recording: Recording, runtime: Runtime) -> Iterator[None]:
    """While this lasts, all that is executed, queried and settled on the runtime goes into the recording."""
    calls = _Calls(recording, Original(runtime))
    own = vars(runtime)
    for name in ("execute", "execute_many", "query", "settle"):
        own[name] = getattr(calls, name)
    try:
        yield
    finally:
        for name in ("execute", "execute_many", "query", "settle"):
            del own[name]


class _Calls:
    def __init__(self, recording: Recording, original: Original) -> None:
        self._recording = recording
        self._original = original
        self._clients: WeakKeyDictionary[asyncio.Task[Any], Client] = WeakKeyDictionary()
        self._names: Counter[str] = Counter()

    async def execute(
        self,
        *command: Any,  # noqa: ANN401 - what the caller gave is passed on as it is
        **options: Any,  # noqa: ANN401
    ) -> Receipt:
        return await self._client().execute(*command, **options)

    async def query(
        self,
        *question: Any,  # noqa: ANN401 - as above
        consistency: Consistency = Eventual(),  # noqa: B008 - frozen
        **options: Any,  # noqa: ANN401
    ) -> Answer[Any] | Answers[Any]:
        answer: Answer[Any] | Answers[Any] = await self._client().query(
            *question, consistency=consistency, **options
        )
        return answer

    async def execute_many(
        self, decider: Decider[Any, Any, Any], commands: Iterable[tuple[str, Any]]
    ) -> list[Receipt | AftertideError]:
        session, begun = self._client().session, []

        def noted() -> Iterator[tuple[str, Any]]:
            for id, command in commands:
                begun.append(
                    self._recording.begin(
                        Executed(
                            start=self._recording.now(),
                            outcome="info",
                            session=session,
                            stream=stream_name(decider.category, id),
                            command=type(command).__name__,
                        )
                    )
                )
                yield id, command

        try:
            outcomes = await self._original.execute_many(decider, noted())
        except BaseException as error:
            # Some were answered and some were not, and nobody is told which.
            for operation in begun:
                self._recording.unknown(operation, error)
            raise
        for operation, outcome in zip(begun, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                self._recording.ended(
                    operation,
                    id=outcome.command_id,
                    version=outcome.version,
                    position=outcome.position,
                )
            else:
                self._recording.failed(operation, outcome)
        return outcomes

    async def settle(self, timeout: float | None = None) -> Position:
        head = await self._original.settle(timeout)
        self._recording.settled(head)
        return head

    def _client(self) -> Client:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a runtime is called from a task of its event loop.")
        client = self._clients.get(task)
        if client is None:
            name = task.get_name().rpartition(".")[2]
            self._names[name] += 1
            client = self._clients[task] = self._recording.client(
                f"{name}#{self._names[name]}", self._original
            )
        return client
