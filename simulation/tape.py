"""Every decision of a simulation: drawn from one seed, recorded under a name, replayed, overruled one by one.

A decision is addressed by a label, an actor and how often that pair was asked before (`replica/ann[3]`),
never by its place in the whole run: so one decision can be changed without giving all later ones another
meaning, which is what makes shrinking work. Each pair draws from a generator of its own, seeded by its name:
a new label disturbs no other.

Each decision has a default, the dull answer (the first option, no, the low end). `otherwise="default"` makes
a tape that holds nothing but its deviations from dullness: that is how a recording is replayed and shrunk.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple, TypeVar

from .errors import TapeMismatch

T = TypeVar("T")
Value = bool | int | float
Otherwise = Literal["seed", "default"]

FORMAT = 1
STEP = "step"
"""The label of the scheduler's decisions; the actor is the task that has been ready longest."""
STEP_BITS = 20
MOST_READY = 1 << STEP_BITS
"""No more tasks than this can be ready at once."""


class Address(NamedTuple):
    """Which decision: the `use`-th (from 0) that was asked under `label` by `actor`."""

    label: str
    actor: str
    use: int

    def __str__(self) -> str:
        return (
            f"{self.label}/{self.actor}[{self.use}]" if self.actor else f"{self.label}[{self.use}]"
        )


class Decision(NamedTuple):
    """An answer other than the default."""

    address: Address
    value: Value

    def __str__(self) -> str:
        return f"{self.address} = {self.value!r}"


class _Stream:
    """What one label and actor draw from."""

    __slots__ = ("actor", "deviations", "label", "random", "uses")

    def __init__(
        self, label: str, actor: str, random: Random, deviations: dict[int, Value]
    ) -> None:
        self.label = label
        self.actor = actor
        self.random = random
        self.deviations = deviations
        self.uses = 0


class Tape:
    """Decisions by seed and deviations. One tape serves one run; `fork` makes one for the next.

    Where neither a deviation nor (with `otherwise="default"`) the seed answers, the default does.
    """

    def __init__(
        self,
        seed: int = 0,
        deviations: Iterable[Decision] | Mapping[Address, Value] = (),
        *,
        otherwise: Otherwise = "seed",
    ) -> None:
        if otherwise not in ("seed", "default"):
            raise ValueError(f'otherwise={otherwise!r}: it must be "seed" or "default".')
        self.seed = seed
        self.otherwise: Otherwise = otherwise
        pairs = deviations.items() if isinstance(deviations, Mapping) else deviations
        self.deviations: dict[Address, Value] = {
            Address(*address): value for address, value in pairs
        }
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._taken: list[Decision] = []
        self._unused = dict(self.deviations)
        self._step_uses: dict[str, int] = {}
        self.steps = array("q")
        """What the scheduler chose: the number of the longest waiting task, and the place it chose."""
        self.task_names: Sequence[str] = ()
        """The names of the tasks by their number, for the addresses of `steps`."""

    # --- asking ---

    def choose(self, label: str, options: Sequence[T], *, actor: str = "") -> T:
        """One of the options, all equally likely; the first is the default. Raises ValueError for none."""
        if not options:
            raise ValueError(f"choose({label!r}) has no options: give at least one.")
        return options[self.index(label, len(options), actor=actor)]

    def index(self, label: str, count: int, *, actor: str = "") -> int:
        """A number from 0 to count − 1; 0 is the default."""
        stream = self._stream(label, actor)
        drawn = int(stream.random.random() * count) if self.otherwise == "seed" else 0
        value = self._settle(stream, drawn, int)
        if value < 0:
            raise TapeMismatch(
                f"decision {label}/{actor} is {value}: an option's number is 0 or more."
            )
        value = min(value, count - 1)
        if value:
            self._taken.append(Decision(Address(label, actor, stream.uses - 1), value))
        return value

    def chance(self, label: str, probability: float, *, actor: str = "") -> bool:
        """True with this probability (0 to 1); False is the default."""
        stream = self._stream(label, actor)
        drawn = stream.random.random() < probability if self.otherwise == "seed" else False
        value = self._settle(stream, drawn, bool)
        if value:
            self._taken.append(Decision(Address(label, actor, stream.uses - 1), value))
        return value

    def draw(self, label: str, low: float, high: float, *, actor: str = "") -> float:
        """A number from low to high, uniformly; low is the default."""
        return self.sample(
            label, lambda random: low + (high - low) * random.random(), low, actor=actor
        )

    def sample(
        self,
        label: str,
        distribution: Callable[[Random], float],
        default: float,
        *,
        actor: str = "",
    ) -> float:
        """A number from any distribution over a seeded generator, with this default."""
        stream = self._stream(label, actor)
        drawn = distribution(stream.random) if self.otherwise == "seed" else default
        value = self._settle(stream, drawn, float)
        if value != default:
            self._taken.append(Decision(Address(label, actor, stream.uses - 1), value))
        return value

    def seed_for(self, label: str) -> int:
        """A seed derived from the tape's, for a generator that is not asked decision by decision."""
        digest = hashlib.blake2b(f"{self.seed}/{label}".encode(), digest_size=6).digest()
        return int.from_bytes(digest, "big")

    def generator(self, label: str) -> Random:
        """A generator of its own for this label. Its numbers are no decisions and are not recorded."""
        return Random(self.seed_for(label))

    def _stream(self, label: str, actor: str) -> _Stream:
        stream = self._streams.get((label, actor))
        if stream is None:
            deviations = {
                address.use: value
                for address, value in self.deviations.items()
                if address.label == label and address.actor == actor
            }
            stream = _Stream(label, actor, self.generator(f"{label}/{actor}"), deviations)
            self._streams[label, actor] = stream
        stream.uses += 1
        return stream

    def _settle(self, stream: _Stream, drawn: T, kind: Callable[[Value], T]) -> T:
        """The deviation for this use if there is one, else what was drawn."""
        use = stream.uses - 1
        if not stream.deviations or use not in stream.deviations:
            return drawn
        value = stream.deviations[use]
        self._unused.pop(Address(stream.label, stream.actor, use), None)
        if isinstance(value, bool) is not isinstance(drawn, bool) or (
            isinstance(drawn, int) and not isinstance(value, int)
        ):
            raise TapeMismatch(
                f"decision {Address(stream.label, stream.actor, use)} is {value!r} on the tape, and the run asks "
                f"for a {type(drawn).__name__}: the tape belongs to another version of the program. Search anew."
            )
        return kind(value)

    # --- the scheduler's own, fast way: see schedule.py ---

    def overrule_step(self, task: str, index: int, count: int) -> int:
        """The scheduler's choice of `index` among `count`, or what the tape says instead."""
        use = self._step_uses.get(task, 0)
        self._step_uses[task] = use + 1
        address = Address(STEP, task, use)
        value = self.deviations.get(address)
        if value is None:
            return index
        self._unused.pop(address, None)
        return min(max(int(value), 0), count - 1)

    # --- what was decided ---

    @property
    def decisions(self) -> list[Decision]:
        """What was decided otherwise than by default, up to now: the scheduler's first, then as they came.

        `Tape(decisions=…, otherwise="default")` with these repeats the run.
        """
        uses: dict[int, int] = {}
        steps: list[Decision] = []
        for packed in self.steps:
            task, index = packed >> STEP_BITS, packed & (MOST_READY - 1)
            use = uses.get(task, 0)
            uses[task] = use + 1
            if index:
                steps.append(Decision(Address(STEP, self.task_names[task], use), index))
        return steps + self._taken

    @property
    def asked(self) -> int:
        """How many decisions were asked for, up to now."""
        return len(self.steps) + sum(stream.uses for stream in self._streams.values())

    @property
    def unused(self) -> list[Address]:
        """Deviations that the run never asked for, up to now."""
        return list(self._unused)

    def fork(
        self, deviations: Iterable[Decision] | None = None, *, otherwise: Otherwise = "default"
    ) -> "Tape":
        """A fresh tape that repeats this one's decisions, or those given."""
        return Tape(
            self.seed, self.decisions if deviations is None else deviations, otherwise=otherwise
        )

    # --- files ---

    def save(self, path: str | PathLike[str], **notes: object) -> None:
        """Write the decisions as JSON, with notes (versions, trace, what failed) beside them."""
        content = {
            "format": FORMAT,
            "seed": self.seed,
            **notes,
            "decisions": [[*address, value] for address, value in self.decisions],
        }
        text = json.dumps(content, indent=1, default=str)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Tape":
        """The tape that replays a saved file. Raises ValueError, naming the file, for anything else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(
                    f"its format is {content['format']!r}, this version reads {FORMAT}"
                )
            decisions = [
                Decision(Address(str(label), str(actor), int(use)), value)
                for label, actor, use, value in content["decisions"]
            ]
            if not all(isinstance(decision.value, (bool, int, float)) for decision in decisions):
                raise ValueError("a decision is neither a number nor true or false")
            return cls(int(content["seed"]), decisions, otherwise="default")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no tape: {error}. Use a file that Tape.save wrote."
            ) from error
