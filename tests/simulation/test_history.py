"""Histories as files: what is written is read again, and what can't be read is named with its line."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide import Position, Version
from aftertide.simulation import History, HistoryUnreadable
from aftertide.simulation.history import Header
from aftertide.simulation.records import (
    AnyRecord,
    Applied,
    Crashed,
    Executed,
    Logged,
    Queried,
    Registered,
    Restarted,
    Settled,
)
from tests.simulation.histories import applied, raw, read, register, wrote

HEADER = b'{"record":"history","format":1}'

EACH_KIND: list[AnyRecord] = [
    Logged(
        position=Position(1),
        stream="account-a",
        version=Version(1),
        type="Deposited",
        recorded_at=1_800_000_000.25,
        command_id="c1",
        context='{"metadata":{"by":"me"}}',
        data=raw({"amount": 10}),
    ),
    wrote(0.25, 0.5, 1, version=1, id="c1"),
    Executed(start=0.55, outcome="info", session="bob", stream="account-b", command="Deposit"),
    wrote(0.5, 0.6, id="c2", outcome="fail"),
    applied(0.7, 1, 1),
    read(
        0.8,
        0.9,
        1,
        replica="balances/1",
        key="a",
        rows=[{"account": "a"}],
        asked="at_least",
        asked_position=1,
        behind_events=0,
        stale=True,
        cut="x",
        positions=(1,),
    ),
    Crashed(at=1.0, node="one"),
    Restarted(at=1.1, node="one", checkpoints={"balances/1": Position(1), "balances/2": None}),
    Settled(at=1.2, head=Position(1)),
    register("cas", [2], 1.3, 1.4, expected={"a": 1}, key="x"),
]


def described(history: History) -> object:
    return (
        sorted(map(msgspec.json.encode, history.records())),
        history.replicas,
        history.epoch,
        history.about,
    )


def test_a_history_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    history = History(
        EACH_KIND, replicas={"balances/1": 3}, epoch=1_800_000_000.0, about={"seed": 7}
    )
    history.write(tmp_path / "history.jsonl")
    assert described(History.read(tmp_path / "history.jsonl")) == described(history)


@given(
    start=st.floats(allow_nan=False, allow_infinity=False),
    key=st.text() | st.none() | st.integers(-(2**53), 2**53),
    session=st.text(min_size=1).filter(str.isprintable),
)
def test_any_value_comes_back_as_it_was(start: float, key: object, session: str) -> None:
    records = [
        read(start, start, 1, key=key, rows=[{"key": key}], session=session),
        register("write", key, start, None, key=key),
    ]
    back = History.parse(History(records).lines())
    assert described(back) == described(History(records))


def test_a_timeline_is_in_the_order_of_time() -> None:
    history = History(reversed(EACH_KIND), epoch=1_800_000_000.0)
    timeline = history.timeline().splitlines()
    assert [line.split()[0] for line in timeline if "position 1 of the log" not in line] == [
        "0.250000–0.500000",
        "0.550000–…",
        "0.500000–0.600000",
        "0.700000",
        "0.800000–0.900000",
        "1.000000",
        "1.100000",
        "1.200000",
        "1.300000–1.400000",
    ]
    assert timeline[0].startswith("position 1 of the log: account-a version 1, Deposited")


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (wrote(0, 1, 7, version=2), "ann  a command to account-a: ok, version 2, position 7"),
        (wrote(0, 1), "ann  a command to account-a: ok, version ?, position ?"),
        (
            wrote(0, None, outcome="info"),
            "0.000000–…  ann  a command to account-a: outcome unknown",
        ),
        (
            read(0, 1, 7, session=None),
            "0.000000–1.000000  somebody  balances: answered at position 7",
        ),
        (
            read(0, 1, 7, key="a", asked="at_least", asked_position=3, rows=[], stale=True),
            'balances {"key":"a"}, at_least 3: answered at position 7, said to be stale: []',
        ),
        (register("read", 1, 0, 1, key="x"), 'somebody  read "x": 1'),
        (register("write", 1, 0, 1), "somebody  write := 1: ok"),
        (register("cas", 2, 0, None, expected=1), "cas 1 → 2: outcome unknown"),
        (applied(1, 2, 2), "1.000000  balances/1 applied 2"),
        (applied(1, 2, 4), "1.000000  balances/1 applied 2 to 4"),
        (Applied(replica="r", position=Position(3), at=1.0), "r applied 3"),
        (Crashed(at=1.0), "1.000000  the node crashed"),
        (Restarted(at=1.0, checkpoints={}), "1.000000  a restart: no replicas"),
        (Restarted(at=1.0, node="n", checkpoints={"r": None}), "n: r at ?"),
        (Settled(at=1.0, head=Position(4)), "settled at position 4"),
    ],
)
def test_a_record_tells_itself_in_a_line(record: AnyRecord, line: str) -> None:
    assert line in str(record)
    assert "\n" not in str(record)


def test_a_long_value_is_shortened_for_a_reader() -> None:
    assert len(str(read(0, 1, 1, rows=["x" * 10_000]))) < 400


def test_what_failed_says_why() -> None:
    failed = Executed(
        start=0.0, end=1.0, outcome="fail", stream="a-b", error="CommandRejected: too much"
    )
    assert str(failed).endswith("a command to a-b: failed (CommandRejected: too much)")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "Input data was truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"record":"comand"}', "one of history, command, query"),
        (b'{"a":1}', "one of history, command, query"),
        (b'{"record":"command","start":0,"end":1}', "required field `stream`"),
        (b'{"record":"settled","at":1,"head":2,"haed":3}', "unknown field `haed`"),
        (b'{"record":"settled","at":1,"head":-2}', "`int` >= 0 - at `$.head`"),
        (b'{"record":"settled","at":"soon","head":2}', "Expected `float`, got `str` - at `$.at`"),
        (b'{"record":"command","start":0,"stream":"a"}', "what nobody saw end is 'info'"),
        (b'{"record":"command","start":1,"end":0,"stream":"a"}', "before its `start` at 1.0"),
        (
            b'{"record":"query","start":0,"end":1,"view":"v","asked":"at_least"}',
            "without an `asked_position`",
        ),
        (
            b'{"record":"query","start":0,"end":1,"view":"v","asked":"bounded"}',
            "without `asked_events` or `asked_seconds`",
        ),
        (b'{"record":"applied","replica":"r","position":3,"first":4,"at":1}', "from 1 to 3"),
        (b'{"record":"applied","replica":"r","position":3,"first":0,"at":1}', "from 1 to 3"),
        (HEADER, "a second header"),
        (b'{"type":"ok","process":1,"f":"read","time":3}', "has not invoked"),
    ],
)
def test_a_line_that_is_no_part_of_a_history_is_named(line: bytes, problem: str) -> None:
    good = b'{"record":"settled","at":1,"head":2}'
    with pytest.raises(HistoryUnreadable) as raised:
        History.parse([HEADER, good, b"\n", line, good], name="x.jsonl")
    assert raised.value.line == 4
    assert problem in raised.value.problem
    assert str(raised.value).startswith("x.jsonl, line 4: ")
    assert str(raised.value).endswith("The format is in docs/histories.md.")


def test_a_history_of_another_format_is_refused() -> None:
    with pytest.raises(HistoryUnreadable, match="has format 2, and this Aftertide reads format 1"):
        History.parse([b'{"record":"history","format":2}'])


@pytest.mark.parametrize("lines", [[], [b"\n", b"  \n"]])
def test_an_empty_file_is_no_history(lines: list[bytes]) -> None:
    with pytest.raises(HistoryUnreadable, match="it is empty"):
        History.parse(lines)


def test_a_file_must_begin_with_its_header() -> None:
    with pytest.raises(HistoryUnreadable, match="line 1: before any record there must be"):
        History.parse([b'{"record":"settled","at":1,"head":2}'])


def test_a_history_of_nothing_is_a_history() -> None:
    history = History.parse([HEADER])
    assert len(history) == 0
    assert repr(history) == "<History of 0 commands, 0 queries, 0 register operations, 0 events>"


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        History.read(tmp_path / "none.jsonl")


def test_records_stand_by_their_kind() -> None:
    history = History(EACH_KIND)
    kinds = (history.log, history.commands, history.queries, history.registers)
    assert [len(kind) for kind in kinds] == [1, 3, 1, 1]
    assert [type(each) for each in history.moves] == [Applied, Restarted]
    assert len(history) == len(EACH_KIND)
    assert all(isinstance(each, Queried) for each in history.queries)
    assert all(isinstance(each, Registered) for each in history.registers)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError, match="is no part of a history: it holds Executed, Queried"):
        History([Header(format=1)])
