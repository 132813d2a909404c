"""An operator is told what happened to which stream; a host that did not ask hears nothing."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from aftertide import (
    CommandRejected,
    Decider,
    DecisionFailed,
    Limits,
    RecordedEvent,
    Runtime,
    StoreFull,
    StreamUnreadable,
    View,
)
from aftertide.actors.log import Logger, bind_log
from aftertide.domain.messages import Append, NewEvent, StreamKey, Version
from tests.bank import ACCOUNT, Balance, Deposit, Deposited, Withdraw
from tests.fake_clock import FakeClock, rest
from tests.staged import StagedEventStore, open_on


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return []


def logger_of(lines: list[dict[str, Any]], least: int) -> Logger:
    def keep(_: object, level: str, event: Any) -> str:  # noqa: ANN401 - structlog's own type
        lines.append({"level": level, **event})
        raise structlog.DropEvent

    filtering = structlog.make_filtering_bound_logger(least)
    return cast("Logger", structlog.wrap_logger(None, processors=[keep], wrapper_class=filtering))


@pytest.fixture
def logger(lines: list[dict[str, Any]]) -> Logger:
    return logger_of(lines, logging.INFO)


@pytest.fixture
def verbose(lines: list[dict[str, Any]]) -> Logger:
    return logger_of(lines, logging.DEBUG)


async def test_opening_and_closing_are_told(logger: Logger, lines: list[dict[str, Any]]) -> None:
    async with Runtime.open(deciders=[ACCOUNT], logger=logger) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
    assert lines == [
        {"level": "info", "event": "runtime.opened", "database": ":memory:", "head": 0},
        {"level": "info", "event": "runtime.closed", "database": ":memory:", "head": 1},
    ]


async def test_commands_that_go_well_and_those_that_are_refused_are_no_news(
    logger: Logger, lines: list[dict[str, Any]]
) -> None:
    async with Runtime.open(deciders=[ACCOUNT], logger=logger) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        with pytest.raises(CommandRejected):
            await runtime.execute(ACCOUNT, "alice", Withdraw(2))
        assert len(lines) == 1


@pytest.mark.parametrize("immediate", [True, False], ids=["memory", "staged"])
async def test_whoever_reads_debug_lines_is_told_of_every_event_and_every_refusal(
    verbose: Logger, lines: list[dict[str, Any]], immediate: bool
) -> None:
    opening: Any = Runtime.open if immediate else lambda **o: open_on(StagedEventStore(), **o)
    async with opening(deciders=[ACCOUNT], logger=verbose) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1), command_id="c1", correlation_id="k")
        with pytest.raises(CommandRejected):
            await runtime.execute(ACCOUNT, "alice", Withdraw(2), command_id="c2")
    assert [line for line in lines if line["level"] == "debug"] == [
        {
            "level": "debug",
            "event": "event.committed",
            "type": "Deposited",
            "stream": "account-alice",
            "version": 1,
            "position": 1,
            "command_id": "c1",
            "correlation_id": "k",
        },
        {
            "level": "debug",
            "event": "command.rejected",
            "stream": "account-alice",
            "version": 1,
            "command": "Withdraw",
            "command_id": "c2",
            "correlation_id": "c2",
            "cause": "cannot withdraw 2: the balance is 1",
        },
    ]


async def test_what_nobody_hears_is_not_even_made(logger: Logger) -> None:
    async with Runtime.open(deciders=[ACCOUNT], logger=logger) as runtime:
        assert runtime._bus.subscriptions == []
        assert runtime._kinds[ACCOUNT].on_rejected is None


async def test_a_refusal_that_can_not_be_printed_is_told_all_the_same(
    verbose: Logger, lines: list[dict[str, Any]]
) -> None:
    class Unprintable(CommandRejected):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def refuse(command: Deposit, state: int) -> list[Deposited]:
        raise Unprintable

    decider = Decider("refusing", 0, refuse, lambda state, _: state, events=[Deposited])
    async with open_on(StagedEventStore(), deciders=[decider], logger=verbose) as runtime:
        with pytest.raises(Unprintable):
            await runtime.execute(decider, "alice", Deposit(1))
    assert lines[1]["cause"] == "(its own text failed with RuntimeError)"


@pytest.mark.parametrize("immediate", [True, False], ids=["memory", "staged"])
async def test_a_decision_that_failed_is_told_with_its_stream_and_its_ids(
    logger: Logger, lines: list[dict[str, Any]], immediate: bool
) -> None:
    opening: Any = Runtime.open if immediate else lambda **o: open_on(StagedEventStore(), **o)
    amount: Any = "x"
    async with opening(deciders=[ACCOUNT], logger=logger) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        with pytest.raises(DecisionFailed) as caught:
            await runtime.execute(
                ACCOUNT, "alice", Deposit(amount), command_id="c7", correlation_id="k1"
            )
        assert lines[1:] == [
            {
                "level": "warning",
                "event": "command.failed",
                "stream": "account-alice",
                "version": 1,
                "command": "Deposit",
                "command_id": "c7",
                "correlation_id": "k1",
                "cause": str(caught.value),
            }
        ]


async def test_a_conflict_and_a_failed_append_are_told(
    logger: Logger, lines: list[dict[str, Any]]
) -> None:
    store = StagedEventStore()
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], logger=logger) as runtime:
        reply = asyncio.create_task(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        await rest()
        new = [NewEvent("Deposited", b'{"amount":7}', None, "foreign", "")]
        await store.log.append([Append("account", "alice", Version(0), new, StreamKey(0))], 0.0)
        store.end()
        await rest()
        store.end(StoreFull("bank.db", "no space left", "Free some."))
        await asyncio.gather(reply, return_exceptions=True)
        store.held = False
    told = [(line["level"], line["event"]) for line in lines[1:-1]]
    assert told == [("warning", "aggregate.conflict"), ("error", "journal.append_failed")]
    assert (lines[1]["stream"], lines[1]["version"]) == ("account-alice", 1)
    assert "another writer appended 1 event(s) first" in lines[1]["cause"]
    assert lines[2]["cause"] == "bank.db: no space left. Free some."


async def test_a_stream_that_can_not_be_read_is_told(
    logger: Logger, lines: list[dict[str, Any]]
) -> None:
    store = StagedEventStore()
    new = [NewEvent("Deposited", b'{"amount":"x"}', None, "foreign", "")]
    await store.log.append([Append("account", "alice", Version(0), new, StreamKey(0))], 0.0)
    async with open_on(store, deciders=[ACCOUNT], logger=logger) as runtime:
        with pytest.raises(StreamUnreadable) as caught:
            await runtime.execute(ACCOUNT, "alice", Deposit(1))
    assert lines[1]["event"] == "aggregate.unreadable"
    assert (lines[1]["stream"], lines[1]["cause"]) == ("account-alice", str(caught.value))


async def test_a_projection_that_restarts_and_stops_is_told_with_cause_and_place(
    logger: Logger, lines: list[dict[str, Any]]
) -> None:
    def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
        raise LookupError("no place")

    view = View("balances", row=Balance, key="account", apply=apply)
    clock = FakeClock()
    async with open_on(
        StagedEventStore(),
        deciders=[ACCOUNT],
        projections=[view],
        logger=logger,
        clock=clock,
        limits=Limits(restarts=1),
    ) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await clock.advance(10)
    assert lines[1:-1] == [
        {
            "level": "warning",
            "event": "projection.restarting",
            "projection": "balances/1",
            "position": 0,
            "cause": "LookupError: no place",
            "pause_seconds": 0.05,
        },
        {
            "level": "error",
            "event": "projection.stopped",
            "projection": "balances/1",
            "position": 0,
            "cause": "LookupError: no place",
        },
    ]


async def test_a_logger_that_raises_strands_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("disk full")

    def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
        raise LookupError("no place")

    logger = cast("Logger", structlog.wrap_logger(None, processors=[broken]))
    view = View("balances", row=Balance, key="account", apply=apply)
    clock, amount = FakeClock(), cast("Any", "x")
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[view], logger=logger, clock=clock
    ) as runtime:
        outcomes = await runtime.execute_many(
            ACCOUNT, [("alice", Deposit(amount)), ("alice", Deposit(1)), ("bob", Deposit(1))]
        )
        assert isinstance(outcomes[0], DecisionFailed)
        assert [getattr(outcome, "version", None) for outcome in outcomes[1:]] == [1, 1]
        await clock.advance(60)
        assert runtime.projection(view).state == "stopped"
    assert "the line 'command.failed' could not be logged: RuntimeError: disk full" in caplog.text


async def test_a_host_that_listens_to_the_standard_logger_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="aftertide")
    async with Runtime.open(deciders=[ACCOUNT]):
        pass
    assert [record.name for record in caplog.records] == ["aftertide"] * 2
    assert caplog.messages[0] == "event='runtime.opened' database=':memory:' head=0"


def test_a_logger_that_was_given_is_used_as_it_is() -> None:
    with structlog.testing.capture_logs() as captured:
        bind_log(structlog.get_logger()).bind(stream="a").warning("told", position=3)
    assert captured == [{"stream": "a", "position": 3, "event": "told", "log_level": "warning"}]


QUIET = """
import anyio
from tests.bank import *
from aftertide import Runtime, Limits, View, DecisionFailed

def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
    raise LookupError("no place")

view = View("broken", row=Balance, key="account", apply=apply)

async def main():
    limits = Limits(restarts=0)
    async with Runtime.open("bank.db", deciders=[ACCOUNT], projections=[view], limits=limits) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        try:
            await runtime.execute(ACCOUNT, "alice", Deposit("x"))
        except DecisionFailed:
            pass
        try:
            await runtime.settle()
        except Exception:
            pass

anyio.run(main)
"""


def test_a_host_that_did_not_ask_hears_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", QUIET],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
