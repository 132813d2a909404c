"""From events to bytes and back, and from stored rows to recorded events.

JSON by msgspec: rows that any SQL client can read, typed and validated on the way back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from .decider import Decider
from .errors import StreamUnreadable, UnknownEventType
from .messages import Position, RecordedEvent, Version, stream_name
from .ports import StoredPage

Decode = Callable[[bytes | str], Any]


class Codec(Protocol):
    """How payloads become bytes. `decoder(T)(encode(value)) == value` for all that may be stored."""

    @property
    def text(self) -> bool:
        """Payloads are UTF-8 text. Stores may then give them to `decoder` as str."""
        ...

    def encode(self, value: object, /) -> bytes: ...

    def decoder(self, payload_type: type, /) -> Decode: ...


class JsonCodec:
    """dataclasses and msgspec Structs as JSON. Decoding checks types."""

    text = True

    def __init__(self) -> None:
        self.encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

    def decoder(self, payload_type: type, /) -> Decode:
        return msgspec.json.Decoder(payload_type).decode


class EventTypes:
    """The registry of a runtime: which name stands for which event type, over all its deciders.

    Raises ValueError when one name stands for two types.
    """

    def __init__(
        self, deciders: Iterable[Decider[Any, Any, Any]], codec: Codec | None = None
    ) -> None:
        self.codec: Codec = codec or JsonCodec()
        self.names: dict[type, str] = {}
        self._types: dict[str, type] = {}
        self._decoders: dict[str, Decode] = {}
        for decider in deciders:
            for name, event_type in decider.events.items():
                self._register(name, event_type, decider.category)

    def _register(self, name: str, event_type: type, category: str) -> None:
        if self._types.setdefault(name, event_type) is not event_type:
            other = self._types[name]
            raise ValueError(
                f"decider {category!r} names the event type {name!r}, which stands for "
                f"{other.__module__}.{other.__qualname__} already: give one of them another name with "
                "events={'Name': Type, …}."
            )
        if self.names.setdefault(event_type, name) != name:
            raise ValueError(
                f"event type {event_type.__qualname__} is named both {self.names[event_type]!r} and {name!r}: "
                "use one name for it."
            )
        try:
            self._decoders[name] = self.codec.decoder(event_type)
        except TypeError as error:
            raise TypeError(
                f"event type {event_type.__qualname__} of decider {category!r} can't be stored: {error}. "
                "Use a dataclass or a msgspec Struct with annotated fields."
            ) from error

    def __contains__(self, event_type: type) -> bool:
        return event_type in self.names

    def ways(self, decider: Decider[Any, Any, Any]) -> Mapping[type, tuple[str, Decode]]:
        """For each event type of the decider the name it is stored under, and the way back from bytes."""
        return {
            event_type: (self.names[event_type], self._decoders[self.names[event_type]])
            for event_type in decider.events.values()
        }

    @property
    def known(self) -> Mapping[str, type]:
        return self._types

    def decoder(self, type_name: str, stream: str, position: Position) -> Decode:
        """Raises UnknownEventType with the place where the unknown name stands."""
        decode = self._decoders.get(type_name)
        if decode is None:
            raise UnknownEventType(type_name, stream, position, self._types)
        return decode

    def decode(
        self, page: StoredPage, only: frozenset[str] | None = None
    ) -> list[RecordedEvent[Any]]:
        """The page's events, in order; with `only`, those of the named types and nothing of the others.

        Raises UnknownEventType for a type that is wanted and not registered; StreamUnreadable for a payload
        that is not what its type says.
        """
        # The hot path of every replay: one loop, locals only, one table look-up per row for both questions
        # (is it wanted, how is it decoded).
        streams, types = page.streams, page.types
        decoders: dict[int, Decode | None] = {
            key: self._decoders.get(name) if only is None or name in only else None
            for key, name in types.items()
        }
        recorded: list[RecordedEvent[Any]] = []
        add = recorded.append
        position, category, id, version = Position(0), "", "", Version(0)
        try:
            for position, stream_key, version, type_key, at, command_id, context, data in page.rows:
                decode = decoders[type_key]
                category, id = streams[stream_key]
                if decode is None:
                    if only is None or types[type_key] in only:
                        raise UnknownEventType(
                            types[type_key], f"{category}-{id}", position, self._types
                        )
                    continue
                add(
                    RecordedEvent(
                        position,
                        category,
                        id,
                        version,
                        decode(data),
                        at / 1_000_000,
                        command_id,
                        context,
                    )
                )
        except UnknownEventType:
            raise
        except Exception as error:  # whatever a codec raises
            raise StreamUnreadable(
                stream_name(category, id), version - 1, error, position
            ) from error
        return recorded

    def fold(
        self,
        decider: Decider[Any, Any, Any],
        state: object,
        rows: Sequence[tuple[str, bytes | str, int]],
        stream: str,
    ) -> object:
        """The state after these (type name, data, position) rows of `stream`, one of the decider's."""
        evolve, decoders = decider.evolve, self._decoders
        for type_name, data, position in rows:
            decode = decoders.get(type_name)
            if decode is None:
                raise UnknownEventType(type_name, stream, Position(position), self._types)
            state = evolve(state, decode(data))
        return state
