"""Reading the classes that a user's function takes from its annotations, so that nobody writes them twice."""

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin


def annotated_types(
    function: Callable[..., Any], index: int, *, inside: type | None = None
) -> tuple[type, ...]:
    """The classes of the parameter at `index`; a union gives several, no usable annotation gives none.

    With `inside=Box`, a parameter annotated `Box[A | B]` gives A and B.
    """
    hints = _hints(function)
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    if index >= len(names) or names[index] not in hints:
        return ()
    annotation = hints[names[index]]
    if inside is not None:
        if get_origin(annotation) is not inside:
            return ()
        annotation = get_args(annotation)[0]
    return _members(annotation)


def item_types(function: Callable[..., Any]) -> tuple[type, ...]:
    """The classes inside the annotated return type: `Sequence[A | B]`, `list[A]`."""
    annotation = _hints(function).get("return")
    origin = get_origin(annotation)
    if not isinstance(origin, type) or not issubclass(origin, collections.abc.Iterable):
        return ()
    return _members(get_args(annotation)[0])


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except (
        NameError,
        TypeError,
        AttributeError,
    ):  # a name only known to type checkers: the caller must say it
        return {}


def _members(annotation: object) -> tuple[type, ...]:
    value = getattr(annotation, "__value__", annotation)  # `type X = A | B` of Python 3.12
    if get_origin(value) in (Union, types.UnionType):
        return tuple(member for part in get_args(value) for member in _members(part))
    return (value,) if isinstance(value, type) and value is not object else ()
