"""Jepsen's operations on registers: two lines for each, brought together into one record.

    {"type": "invoke", "process": 0, "f": "write", "key": "x", "value": 1, "time": 1000}
    {"type": "ok",     "process": 0, "f": "write", "key": "x", "value": 1, "time": 2000}

As Jepsen's own JSON has them: `time` in nanoseconds, `value` of a cas is [expected, new], a process has one
operation under way at the most. What never ends has an unknown outcome.
"""

from typing import Literal

import msgspec

from .records import NOTHING, Registered

Do = Literal["read", "write", "cas"]
_KNOWN: dict[str, Do] = {"read": "read", "write": "write", "cas": "cas"}


class Line(msgspec.Struct, frozen=True):
    """One line. Fields beside these are Jepsen's own and are passed over."""

    type: Literal["invoke", "ok", "fail", "info"]
    process: int | str
    time: int
    f: str | None = None
    value: msgspec.Raw = NOTHING
    key: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class Pairing:
    """Takes lines in their order; each that ends an operation gives its record."""

    def __init__(self) -> None:
        self._open: dict[int, Line] = {}

    def add(self, line: Line) -> Registered | None:
        """Raises ValueError for an end without a beginning, or a beginning before the end."""
        process = line.process
        if isinstance(process, str):
            return None  # the nemesis: what it does to the system is no operation
        if line.type == "invoke":
            if process in self._open:
                raise ValueError(
                    f"process {process} invokes while its operation before has not ended: "
                    "let a process that lost its answer go on under another number"
                )
            if line.f not in _KNOWN:
                raise ValueError(f"f is {line.f!r}: registers know {', '.join(_KNOWN)}")
            self._open[process] = line
            return None
        invoked = self._open.pop(process, None)
        if invoked is None:
            raise ValueError(f"process {process} ends ({line.type}) what it has not invoked")
        return _operation(invoked, line)

    def rest(self) -> list[Registered]:
        """What has not ended."""
        operations = [_operation(line, None) for line in self._open.values()]
        self._open.clear()
        return operations


def _operation(invoked: Line, end: Line | None) -> Registered:
    outcome = "info" if end is None or end.type == "invoke" else end.type
    do, value, expected = _KNOWN[invoked.f or ""], invoked.value, NOTHING
    if do == "read":
        value = NOTHING if end is None else end.value
    elif do == "cas":
        try:
            expected, value = msgspec.json.decode(
                bytes(invoked.value), type=tuple[msgspec.Raw, msgspec.Raw]
            )
        except msgspec.ValidationError:
            text = bytes(invoked.value).decode()
            raise ValueError(f"the value of a cas is {text}: it must be [expected, new]") from None
    return Registered(
        start=invoked.time / 1e9,
        end=None if end is None or outcome == "info" else end.time / 1e9,
        outcome=outcome,
        session=str(invoked.process),
        error=None if end is None or end.error == NOTHING else bytes(end.error).decode(),
        key=invoked.key,
        do=do,
        value=value,
        expected=expected,
    )
