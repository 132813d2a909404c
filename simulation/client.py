"""A client whose every call is noted: the runtime's own execute and query, and a session's memory.

Nothing here decides what becomes of a call; it is passed on, and its outcome passed back, as it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack, overload

import msgspec

from ..domain.consistency import Answer, Answers, AtLeast, Consistency, OnTimeout, Strong
from ..domain.decider import Decider
from ..domain.messages import Position, Receipt, stream_name
from ..domain.view import View
from ..runtime import CommandOptions
from .records import NOTHING, Asked, Executed, Queried

if TYPE_CHECKING:
    from .recording import Recording

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
R = TypeVar("R")
K = TypeVar("K")

_encode = msgspec.json.Encoder().encode


class Front(Protocol):
    """What a client speaks to: a Runtime, or whatever stands for one on the other side of a network."""

    @property
    def execute(self) -> Callable[..., Awaitable[Receipt]]: ...

    @property
    def query(self) -> Callable[..., Awaitable[Answer[Any] | Answers[Any]]]: ...


class Client:
    """A session: what it executes and queries is noted, and what it wrote and saw it asks to see again.

    Use one for each thread of control: operations that overlap are not ordered by their session.
    """

    def __init__(self, recording: "Recording", session: str | None, front: Front | None) -> None:
        self._recording = recording
        self._front = front
        self.session = session
        self.position = Position(0)
        """The latest position that this session wrote or saw."""

    async def execute(
        self,
        decider: Decider[C, S, E],
        id: str,
        command: C,
        **options: Unpack[CommandOptions],
    ) -> Receipt:
        """As Runtime.execute. A command that is cancelled has an unknown outcome in the history."""
        recording = self._recording
        front = self._front or recording.front
        if options.get("command_id") is None:
            # Known beforehand, so that its events are known by it even if its answer never comes.
            options["command_id"] = recording.next_id()
        begun = recording.begin(
            Executed(
                start=recording.now(),
                outcome="info",
                session=self.session,
                stream=stream_name(decider.category, id),
                command=type(command).__name__,
                id=options["command_id"],
            )
        )
        try:
            receipt = await front.execute(decider, id, command, **options)
        except BaseException as error:
            recording.failed(begun, error)
            raise
        recording.ended(begun, version=receipt.version, position=receipt.position)
        self._saw(receipt.position)
        return receipt

    @overload
    async def query(
        self,
        view: View[R, E, K],
        key: K,
        /,
        *,
        consistency: Consistency | None = ...,
        timeout: float | None = ...,
        on_timeout: OnTimeout = ...,
        replica: int | None = ...,
        cut: str | None = ...,
    ) -> Answer[R]: ...

    @overload
    async def query(
        self,
        view: View[R, E, K],
        /,
        *,
        where: Mapping[str, Any] | None = ...,
        order_by: str | Sequence[str] = ...,
        limit: int | None = ...,
        offset: int = ...,
        consistency: Consistency | None = ...,
        timeout: float | None = ...,
        on_timeout: OnTimeout = ...,
        replica: int | None = ...,
        cut: str | None = ...,
    ) -> Answers[R]: ...

    async def query(
        self,
        view: View[Any, Any, Any],
        /,
        *keys: Any,
        where: Mapping[str, Any] | None = None,
        order_by: str | Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        consistency: Consistency | None = None,
        timeout: float | None = None,
        on_timeout: OnTimeout = "raise",
        replica: int | None = None,
        cut: str | None = None,
    ) -> Answer[Any] | Answers[Any]:
        """As Runtime.query; without a consistency it asks for all that this session wrote and saw.

        `cut` names queries that the history shall hold to one position.
        """
        recording = self._recording
        front = self._front or recording.front
        asked, asked_position = _asked(consistency, self.position)
        begun = recording.begin(
            Queried(
                start=recording.now(),
                outcome="info",
                session=self.session,
                view=view.name,
                select=_question(keys, where, order_by, limit, offset),
                asked=asked,
                asked_position=asked_position,
                cut=cut,
            )
        )
        try:
            answer = await front.query(
                view,
                *keys,
                where=where,
                order_by=order_by,
                limit=limit,
                offset=offset,
                consistency=AtLeast(self.position) if consistency is None else consistency,
                timeout=timeout,
                on_timeout=on_timeout,
                replica=replica,
            )
        except BaseException as error:
            recording.failed(begun, error)
            raise
        freshness = answer.freshness
        recording.ended(
            begun,
            replica=freshness.replica,
            position=freshness.position,
            behind_events=freshness.behind_events,
            stale=freshness.stale,
            rows=_rows(answer),
        )
        self._saw(freshness.position)
        return answer

    def _saw(self, position: Position) -> None:
        self.position = max(self.position, position)


def _asked(
    consistency: Consistency | None, session_position: Position
) -> tuple[Asked, Position | None]:
    match consistency:
        case None:
            return "session", session_position
        case AtLeast(position):
            return "at_least", position
        case Strong():
            return "strong", None
        case _:
            return "eventual", None


def _question(
    keys: tuple[Any, ...],
    where: Mapping[str, Any] | None,
    order_by: str | Sequence[str],
    limit: int | None,
    offset: int,
) -> msgspec.Raw:
    question: dict[str, Any] = {"key": keys[0]} if keys else {}
    if where:
        question["where"] = where
    if order_by:
        question["order_by"] = [order_by] if isinstance(order_by, str) else order_by
    if limit is not None:
        question["limit"] = limit
    if offset:
        question["offset"] = offset
    return _as_json(question)


def _rows(answer: Answer[Any] | Answers[Any]) -> msgspec.Raw:
    if isinstance(answer, Answers):
        return _as_json(answer.rows)
    return _as_json([] if answer.row is None else [answer.row])


def _as_json(value: object) -> msgspec.Raw:
    try:
        return msgspec.Raw(_encode(value))
    except (TypeError, ValueError):
        # No JSON, so no part of a history; what it is about is there all the same.
        return NOTHING
