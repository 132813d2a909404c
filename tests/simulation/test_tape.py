"""Decisions by name: drawn, recorded, replayed, overruled one by one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide.simulation.errors import TapeMismatch
from aftertide.simulation.loop import SimulationLoop
from aftertide.simulation.schedule import Priorities
from aftertide.simulation.tape import Address, Decision, Tape

LABELS = ("lag", "crash", "replica")


def ask(tape: Tape, questions: list[tuple[str, str, int]]) -> list[object]:
    answers: list[object] = []
    for kind, actor, count in questions:
        match kind:
            case "choose":
                answers.append(tape.choose("replica", range(count), actor=actor))
            case "chance":
                answers.append(tape.chance("crash", count / 10, actor=actor))
            case _:
                answers.append(tape.draw("lag", 1.0, 1.0 + count, actor=actor))
    return answers


questions = st.lists(
    st.tuples(
        st.sampled_from(["choose", "chance", "draw"]),
        st.sampled_from(["", "ann", "bob"]),
        st.integers(1, 9),
    ),
    max_size=40,
)


@given(seed=st.integers(), asked=questions)
def test_the_decisions_of_a_run_alone_repeat_it(
    seed: int, asked: list[tuple[str, str, int]]
) -> None:
    first = Tape(seed)
    answers = ask(first, asked)
    again = first.fork()
    assert ask(again, asked) == answers
    assert again.decisions == first.decisions
    assert again.unused == []
    assert first.asked == again.asked == len(asked)


@given(seed=st.integers(), asked=questions)
def test_without_a_seed_every_answer_is_the_dull_one(
    seed: int, asked: list[tuple[str, str, int]]
) -> None:
    tape = Tape(seed, otherwise="default")
    dull: list[object] = [{"choose": 0, "chance": False, "draw": 1.0}[kind] for kind, _, _ in asked]
    assert ask(tape, asked) == dull
    assert tape.decisions == []


@given(seed=st.integers(), asked=questions, other=st.sampled_from(["ann", "eve"]))
def test_questions_of_another_actor_change_no_answer(
    seed: int, asked: list[tuple[str, str, int]], other: str
) -> None:
    alone = [
        answer
        for answer, (_, actor, _) in zip(ask(Tape(seed), asked), asked, strict=True)
        if actor == "bob"
    ]
    of_bob = [question for question in asked if question[1] == "bob"]
    mixed = [("draw", other, 3), *of_bob, ("choose", other, 2)]
    assert ask(Tape(seed), mixed)[1:-1] == alone


def test_one_decision_can_be_overruled_and_all_others_stay() -> None:
    plain = [Tape(5).draw("lag", 0, 1) for _ in range(1)]
    tape = Tape(5, {Address("lag", "", 2): 0.25})
    overruled = [tape.draw("lag", 0, 1) for _ in range(5)]
    free = Tape(5)
    undisturbed = [free.draw("lag", 0, 1) for _ in range(5)]
    assert overruled[:2] == undisturbed[:2]
    assert overruled[2] == 0.25
    assert overruled[3:] == undisturbed[3:]
    assert plain[0] == undisturbed[0]


def test_a_deviation_that_was_never_asked_for_is_reported() -> None:
    unasked, asked = Address("crash", "", 7), Address("crash", "", 0)
    tape = Tape(1, {unasked: True, asked: True})
    assert tape.chance("crash", 0.0)
    assert tape.unused == [unasked]


def test_a_choice_beyond_the_options_takes_the_last_one() -> None:
    tape = Tape(1, {Address("replica", "", 0): 9})
    assert tape.choose("replica", "abc") == "c"


@pytest.mark.parametrize(
    ("value", "question"),
    [
        (0.5, ("choose", "", 3)),
        (2, ("chance", "", 3)),
        (True, ("draw", "", 3)),
        (-1, ("choose", "", 3)),
    ],
)
def test_a_decision_of_another_kind_is_refused(value: Any, question: tuple[str, str, int]) -> None:
    label = {"choose": "replica", "chance": "crash", "draw": "lag"}[question[0]]
    with pytest.raises(TapeMismatch, match=label):
        ask(Tape(1, {Address(label, "", 0): value}), [question])


def test_choosing_among_nothing_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="no options"):
        Tape().choose("replica", ())


# --- files


def test_a_saved_tape_replays_the_run_and_keeps_its_notes(tmp_path: Path) -> None:
    tape = Tape(11)
    asked = [("choose", "ann", 4), ("chance", "", 9), ("draw", "bob", 3)] * 5
    answers = ask(tape, asked)
    tape.save(tmp_path / "bug.json", failure="lost update")
    loaded = Tape.load(tmp_path / "bug.json")
    assert ask(loaded, asked) == answers
    content = json.loads((tmp_path / "bug.json").read_text())
    assert content["failure"] == "lost update"
    assert content["seed"] == loaded.seed == 11


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "seed": 1, "decisions": []}',
        '{"format": 1, "seed": 1, "decisions": [["a", "b", 1]]}',
        '{"format": 1, "seed": 1, "decisions": [["a", "b", 1, "x"]]}',
    ],
)
def test_a_file_that_is_no_tape_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "no-tape.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"no-tape\.json is no tape"):
        Tape.load(path)


# --- the scheduler's decisions


def _race(tape: Tape, priorities: Priorities | None = None) -> tuple[str, str]:
    loop = SimulationLoop(tape, priorities=priorities)
    log: list[str] = []

    async def worker(name: str) -> None:
        for _ in range(4):
            log.append(name)
            await asyncio.sleep(0)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name in "abcd":
                group.create_task(worker(name), name=name)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    return "".join(log), loop.trace.digest()


@pytest.mark.parametrize("priorities", [None, Priorities(depth=4, horizon=20)])
def test_recorded_steps_repeat_the_schedule_and_the_trace(priorities: Priorities | None) -> None:
    for seed in range(20):
        tape = Tape(seed)
        run = _race(tape, priorities)
        again = tape.fork()
        assert _race(again) == run
        assert again.decisions == tape.decisions
        assert _race(Tape(seed), priorities) == run


def test_a_seed_with_one_deviation_differs_in_that_step_first() -> None:
    tape = Tape(3)
    before, _ = _race(tape)
    first = next(decision for decision in tape.decisions if decision.address.actor == "a")
    overruled = Tape(3, [Decision(first.address, 0)])
    after, _ = _race(overruled)
    assert after != before
    assert overruled.unused == []


def test_the_steps_are_addressed_by_the_task_that_waited_longest() -> None:
    tape = Tape(3)
    _race(tape)
    addresses = [decision.address for decision in tape.decisions]
    assert {address.label for address in addresses} == {"step"}
    assert {address.actor for address in addresses} <= set("abcd")
    assert str(addresses[0]).startswith("step/")


def test_without_decisions_the_schedule_is_the_stock_one() -> None:
    assert _race(Tape(9, otherwise="default"))[0] == "abcd" * 4
