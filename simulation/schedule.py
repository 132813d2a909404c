"""Who goes next: the scheduling policies, and the choice among the task steps that are ready.

    fifo    the order of the stock loop
    batch   the stock loop's batches; within one, runs of task steps between two plain callbacks are
            permuted. What trio does in production, so code that runs on trio lives with it.
    tasks   any ready task step that is older than the oldest plain callback. The default.

No policy lets a task step overtake an older plain callback, and callbacks keep their order: anyio's
cancellation and asyncio's transports are built on that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from .steps import Step
from .tape import STEP, STEP_BITS, Tape

Policy = Literal["fifo", "batch", "tasks"]
POLICIES: tuple[Policy, ...] = ("fifo", "batch", "tasks")

Pick = Callable[[Sequence[Step]], int]
"""The place of the step that goes next among at least two, in order of readiness."""


@dataclass(frozen=True, slots=True)
class Priorities:
    """Probabilistic concurrency testing: each task has a random priority, the highest ready one runs, and at
    `depth` − 1 random steps of the first `horizon` the one that runs becomes the lowest.

    Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010.
    That is for programs whose threads end. A task that only repeats a step would starve all others for ever,
    so here it becomes the lowest, too, after `patience` steps in a row.
    """

    depth: int = 3
    horizon: int = 1_000
    patience: int = 100

    def __post_init__(self) -> None:
        for name in ("depth", "horizon", "patience"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} is {number!r}: it must be a whole number from 1.")


def chooser(tape: Tape, priorities: Priorities | None) -> Pick:
    """How the scheduler picks on this tape."""
    if any(address.label == STEP for address in tape.deviations):
        return _overruled(tape, _drawn(tape, priorities))
    if tape.otherwise == "default":
        return _eldest
    if priorities is not None:
        return _recorded(tape, _drawn(tape, priorities))
    return _uniform(tape)


def _eldest(steps: Sequence[Step]) -> int:
    return 0


def _drawn(tape: Tape, priorities: Priorities | None) -> Pick:
    """The seed's choice, not yet recorded."""
    if tape.otherwise == "default":
        return _eldest
    if priorities is not None:
        return _by_priority(tape, priorities)
    random = tape.generator(STEP).random
    return lambda steps: int(random() * len(steps))


def _uniform(tape: Tape) -> Pick:
    """What `_recorded(_drawn(…))` does, in one call: it is asked at every step."""
    random, record, shift = tape.generator(STEP).random, tape.steps.append, STEP_BITS - 1

    def pick(steps: Sequence[Step]) -> int:
        index = int(random() * len(steps))
        record(steps[0].code << shift | index)
        return index

    return pick


def _recorded(tape: Tape, pick: Pick) -> Pick:
    def recorded(steps: Sequence[Step]) -> int:
        index = pick(steps)
        tape.steps.append(steps[0].code >> 1 << STEP_BITS | index)
        return index

    return recorded


def _overruled(tape: Tape, pick: Pick) -> Pick:
    def overruled(steps: Sequence[Step]) -> int:
        task = steps[0].code >> 1
        index = tape.overrule_step(tape.task_names[task], pick(steps), len(steps))
        tape.steps.append(task << STEP_BITS | index)
        return index

    return overruled


def _by_priority(tape: Tape, priorities: Priorities) -> Pick:
    random = tape.generator(STEP)
    changes = {random.randint(1, priorities.horizon) for _ in range(priorities.depth - 1)}
    priority: dict[int, float] = {}
    asked = in_a_row = latest = 0

    def pick(steps: Sequence[Step]) -> int:
        nonlocal asked, in_a_row, latest
        for step in steps:
            if step.code not in priority:
                priority[step.code] = random.random()
        index = max(range(len(steps)), key=lambda place: priority[steps[place].code])
        code = steps[index].code
        in_a_row = in_a_row + 1 if code == latest else 0
        latest = code
        asked += 1
        if asked in changes or in_a_row >= priorities.patience:
            priority[code] = -float(asked)
        return index

    return pick
