"""Deciding as a value: what a decider is, and what it is checked for before it runs.

The pattern is Jérémie Chassaing's: `decide` turns a command and a state into events, `evolve` folds an
event into a state, and both are pure. https://thinkbeforecoding.com/post/2021/12/17/functional-event-sourcing-decider
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from .annotations import annotated_types, item_types
from .messages import Envelope

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")

_CATEGORY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Decider(Generic[C, S, E]):
    """An aggregate's behaviour: a category, an initial state, `decide` and `evolve`.

    `commands` and `events` are read from the annotations of `decide` and `evolve`; give them where
    those have none. The name under which an event type is stored is its class name; `events` may be a
    mapping to give other names. Deciders compare by identity.

    Raises ValueError for a category that is no plain name, TypeError where types can't be found.
    """

    __slots__ = ("category", "commands", "decide", "events", "evolve", "initial", "takes_envelope")

    def __init__(
        self,
        category: str,
        initial: S,
        decide: Callable[[C, S], Sequence[E]],
        evolve: Callable[[S, E], S],
        *,
        commands: Sequence[type] = (),
        events: Sequence[type] | Mapping[str, type] = (),
    ) -> None:
        self._set(category, initial, decide, evolve, commands, events, takes_envelope=False)

    @classmethod
    def with_envelope(
        cls,
        category: str,
        initial: S,
        decide: Callable[[C, S, Envelope[C]], Sequence[E]],
        evolve: Callable[[S, E], S],
        *,
        commands: Sequence[type] = (),
        events: Sequence[type] | Mapping[str, type] = (),
    ) -> "Decider[C, S, E]":
        """A decider whose `decide` also receives the envelope: issue time, ids, metadata."""
        self: Decider[C, S, E] = cls.__new__(cls)
        self._set(category, initial, decide, evolve, commands, events, takes_envelope=True)
        return self

    def _set(
        self,
        category: str,
        initial: S,
        decide: Callable[..., Sequence[E]],
        evolve: Callable[[S, E], S],
        commands: Sequence[type],
        events: Sequence[type] | Mapping[str, type],
        *,
        takes_envelope: bool,
    ) -> None:
        if not isinstance(category, str) or not _CATEGORY.fullmatch(category):
            raise ValueError(
                f"{category!r} can't be a category: it needs letters, digits, '_' or '.', beginning with a "
                "letter (a hyphen separates it from the aggregate's id). Choose a name like 'account'."
            )
        for name, function in (("decide", decide), ("evolve", evolve)):
            if not callable(function) or inspect.iscoroutinefunction(function):
                raise TypeError(
                    f"{name} of decider {category!r} is {function!r}: it must be a plain function, not "
                    "async. Time and ids come in the envelope (Decider.with_envelope)."
                )
        self.category = category
        self.initial = initial
        self.decide = decide
        self.evolve = evolve
        self.takes_envelope = takes_envelope
        self.commands = frozenset(commands or annotated_types(decide, 0)) or _missing(
            category, "commands", "the first parameter of decide"
        )
        self.events = _named(category, events or _events_of(decide, evolve))

    def __repr__(self) -> str:
        return f"<Decider {self.category}>"

    def state(self, events: Sequence[E]) -> S:
        """The state after these events, in their order: the fold that an activation makes."""
        state = self.initial
        for event in events:
            state = self.evolve(state, event)
        return state


def _events_of(decide: Callable[..., Any], evolve: Callable[..., Any]) -> Sequence[type]:
    return annotated_types(evolve, 1) or item_types(decide)


def _missing(category: str, what: str, where: str) -> frozenset[type]:
    raise TypeError(
        f"decider {category!r} does not say which {what} it takes: annotate {where} with a class or a "
        f"union of classes, or pass {what}=(…)."
    )


def _named(category: str, events: Sequence[type] | Mapping[str, type]) -> Mapping[str, type]:
    if isinstance(events, Mapping):
        return dict(events)
    if not events:
        _missing(category, "events", "the second parameter of evolve")
    named: dict[str, type] = {}
    for event_type in events:
        if named.setdefault(event_type.__name__, event_type) is not event_type:
            raise ValueError(
                f"decider {category!r} has two event types named {event_type.__name__!r}: "
                "give them names with events={'Name': Type, …}."
            )
    return named
