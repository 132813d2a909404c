"""Jepsen's lines: an invocation and its end are one operation."""

import json

import pytest

from aftertide.simulation import History, HistoryUnreadable
from tests.simulation.histories import raw, register


def parsed(*lines: dict[str, object]) -> History:
    return History.parse([json.dumps(line) for line in lines])


def line(type: str, process: object, time: int, **rest: object) -> dict[str, object]:
    return {"type": type, "process": process, "time": time, "index": 0, **rest}


def test_an_invocation_and_its_end_are_one_operation() -> None:
    history = parsed(
        line("invoke", 0, 1_000_000_000, f="write", key="x", value=1),
        line("invoke", 1, 1_500_000_000, f="read", key="x", value=None),
        line("ok", 0, 2_000_000_000, f="write", key="x", value=1),
        line("ok", 1, 3_000_000_000, f="read", key="x", value=7),
        line("invoke", 0, 4_000_000_000, f="cas", key="x", value=[1, 2]),
        line("fail", 0, 5_000_000_000, f="cas", key="x", value=[1, 2], error="was 7"),
    )
    write, read, cas = history.registers
    assert (write.start, write.end, write.session, write.outcome) == (1.0, 2.0, "0", "ok")
    assert (write.do, write.key, write.value) == ("write", raw("x"), raw(1))
    assert (read.do, read.value) == ("read", raw(7))
    assert (cas.do, cas.expected, cas.value, cas.outcome) == ("cas", raw(1), raw(2), "fail")
    assert cas.error == '"was 7"'


def test_what_ends_as_info_or_never_has_an_unknown_outcome() -> None:
    history = parsed(
        line("invoke", 0, 1, f="write", value=1),
        line("info", 0, 2, f="write", value=1, error="timeout"),
        line("invoke", 1, 3, f="read"),
    )
    assert [(each.outcome, each.end) for each in history.registers] == [("info", None)] * 2


def test_what_the_nemesis_does_is_no_operation() -> None:
    history = parsed(
        line("info", "nemesis", 1, f="start-partition"), line("invoke", 0, 2, f="read")
    )
    assert len(history.registers) == 1


def test_both_forms_may_stand_in_one_file() -> None:
    lines = [*History([register("write", 1, 0, 1)]).lines()]
    history = History.parse([*lines, json.dumps(line("invoke", 0, 2, f="read"))])
    assert len(history.registers) == 2


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([line("ok", 0, 1, f="read", value=1)], "line 1: process 0 ends (ok) what it has not"),
        ([line("invoke", 0, 1, f="read")] * 2, "line 2: process 0 invokes while its operation"),
        ([line("invoke", 0, 1, f="append")], "f is 'append': registers know read, write, cas"),
        ([line("invoke", 0, 1)], "f is None"),
        (
            [line("invoke", 0, 1, f="cas", value=1), line("ok", 0, 2)],
            "line 2: the value of a cas is 1: it must be [expected, new]",
        ),
    ],
)
def test_lines_that_make_no_operation_are_named(
    lines: list[dict[str, object]], problem: str
) -> None:
    with pytest.raises(HistoryUnreadable) as raised:
        parsed(*lines)
    assert problem in str(raised.value)
