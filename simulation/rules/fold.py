"""What a view's rows must be at any position: its own fold over the log, and which rows a query means.

Nothing here judges. The fold is the view's `apply` and the log, nothing else: no checkpoint, no replica, no store
that kept rows; so it can't be fooled by any of them.
"""

from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

import msgspec

from ...domain.messages import Position, RecordedEvent
from ...domain.select import Select
from ...domain.view import View
from ...stores.memory_rows import MemoryReadStore
from ..records import Queried
from .case import Case

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which rows a query asked for, as `select` of its record holds it."""

    key: Any = msgspec.UNSET
    where: Mapping[str, Any] = {}
    order_by: Sequence[str] = ()
    limit: int | None = None
    offset: int = 0


class Broken(Exception):
    """From this position on there are no rows: `apply` raised, or decided on a row that can't be stored."""

    def __init__(self, position: int, why: str) -> None:
        self.position = position
        self.why = why
        super().__init__(why)


class Fold:
    """The rows of one view, moved from position to position, forwards only."""

    def __init__(self, view: View[Any, Any, Any], events: Sequence[RecordedEvent[Any]]) -> None:
        self.view = view
        self.rows: dict[Any, Any] = {}
        self._wanted = frozenset(view.events)
        self._events = events
        self._next = 0
        self._encode = msgspec.json.Encoder().encode
        self._encoded: dict[Any, bytes] = {}
        self._keys: dict[bytes, Any] = {}
        self._changes: dict[Any, Any] = {}
        """What the store has not been given yet."""
        self._store: MemoryReadStore | None = None
        hints = get_type_hints(view.row)
        self._hints = {column.name: hints[column.name] for column in view.schema.columns}
        parts = tuple(self._hints[name] for name in view.key)
        self._key_type: Any = parts[0] if len(parts) == 1 else tuple[parts]  # type: ignore[valid-type]
        self._decode_rows = msgspec.json.Decoder(list[view.row]).decode  # type: ignore[name-defined]

    def advance(self, position: int) -> None:
        """Apply all up to `position`. Raises Broken where the view can't go on."""
        # The hot path of every comparison: locals only, and the plain case, one key, in the fewest steps.
        events, index, end = self._events, self._next, len(self._events)
        rows, wanted, keys_of, apply = self.rows, self._wanted, self.view.keys, self.view.apply
        while index < end and (event := events[index]).position <= position:
            index += 1
            if type(event.event) not in wanted:
                continue
            try:
                if keys_of is None:
                    key = event.id
                    changed = {key: apply(rows.get(key), event, key)}
                else:
                    # As a projection does: none of an event's rows is there before all of them are.
                    changed = {}
                    for key in keys_of(event):
                        row = changed[key] if key in changed else rows.get(key)
                        changed[key] = apply(row, event, key)
            except Exception as error:
                self._next = end
                raise Broken(event.position, f"apply raised {error!r}") from error
            for key, row in changed.items():
                self._encoded.pop(key, None)
                if row is None:
                    rows.pop(key, None)
                else:
                    rows[key] = row
            if self._store is not None:
                self._changes.update(changed)
        self._next = index

    def expected(self, answer: Queried) -> bytes:
        """The rows that the answer must hold, as JSON. Raises ValueError for a question that has no answer here."""
        asked = bytes(answer.select)
        key = self._keys.get(asked, _UNKNOWN)
        if key is _UNKNOWN:
            question = _decode_question(asked)
            if question.key is msgspec.UNSET:
                return self._encode(self._select(question, answer.position or 0))
            key = self._keys[asked] = msgspec.convert(question.key, self._key_type)
        text = self._encoded.get(key)
        if text is None:
            row = self.rows.get(key)
            text = self._encoded[key] = self._encode([] if row is None else [row])
        return text

    def agrees(self, answer: Queried, expected: bytes) -> bool:
        """Whether the answer's rows are these: as the row's types compare, else as JSON does."""
        try:
            return bool(self._decode_rows(answer.rows) == self._decode_rows(expected))
        except msgspec.ValidationError:
            # Rows of another form, or a number that JSON has not (infinity is null there).
            return bool(msgspec.json.decode(answer.rows) == msgspec.json.decode(expected))

    def told(self, answer: Queried) -> list[Any]:
        """The answer's rows as the view's own. Raises msgspec.ValidationError where they are none."""
        return self._decode_rows(answer.rows)

    def _select(self, question: Question, position: int) -> Sequence[Any]:
        if self._store is None:
            self._store = MemoryReadStore(self.view)
            self._changes = dict(self.rows)
        if self._changes:
            _at_once(self._store.put(self._changes, Position(position)))
            self._changes = {}
        where = {name: self._value(name, value) for name, value in question.where.items()}
        select = Select(None, where, tuple(question.order_by), question.limit, question.offset)
        return _at_once(self._store.select(select))[1]

    def _value(self, name: str, value: object) -> object:
        hint = self._hints.get(name)
        if hint is None:
            return value  # the select says what columns there are
        if isinstance(value, list):
            return [None if each is None else msgspec.convert(each, hint) for each in value]
        return None if value is None else msgspec.convert(value, hint)


def told_at(
    case: Case, view: View[Any, Any, Any], answers: Iterable[Queried]
) -> Iterator[tuple[Queried, Fold | Broken]]:
    """Each of these answers with the view's rows as they must be at its position, by position.

    The fold that is given moves on afterwards: look at once.
    """
    fold = Fold(view, case.recorded)
    told: Fold | Broken = fold
    for answer in sorted(answers, key=attrgetter("position")):
        if told is fold:
            try:
                fold.advance(answer.position or 0)
            except Broken as error:
                told = error
        yield answer, told


_UNKNOWN = object()
_decode_question = msgspec.json.Decoder(Question).decode


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that awaits nothing: the store in memory promises that of its own."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("a store in memory waited for something")
