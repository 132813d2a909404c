"""Registers without versions: is there an order of their operations that time and values both allow?

An operation takes effect at one moment between its start and its end; one with an unknown outcome at any
moment after its start, or never. Each key is judged by itself (linearizability is local).

Two ways. Where every value was written once and nothing was compared and set, each value's operations stand
together in any such order, and comparing their zones decides it in n log n: Gibbons, Korach, Testing Shared
Memories, SIAM J. Comput. 26 (1997). Else a search: Wing and Gong, Testing and Verifying Concurrent Objects,
JPDC 17 (1993), in Lowe's just-in-time form, which remembers configurations: Testing for linearizability,
CCPE 29 (2017). It is exponential in the number of operations that overlap, so it has a limit.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import msgspec

from ..records import NOTHING, Registered
from .case import Case
from .rule import Violation

INITIAL = b"null"
SHOWN = 6
"""Records in a proof, at the most."""


@dataclass(frozen=True, slots=True)
class LinearizableRegisters:
    """Reads, writes and compare-and-sets of each key fit one order.

    `configurations` is how many the search of one key may look at; where it is reached, the report says so
    and that key is not judged.
    """

    configurations: int = 1_000_000
    name: ClassVar[str] = "linearizable_registers"
    promise: ClassVar[str] = "each register's operations fit one order that time agrees with"

    def missing(self, case: Case) -> str | None:
        return None if case.history.registers else "it has no operations on registers"

    def violations(self, case: Case) -> Iterator[Violation]:
        keys: defaultdict[bytes, list[Registered]] = defaultdict(list)
        for each in case.history.registers:
            # What failed had no effect, and a read that was not answered saw nothing.
            if each.outcome == "ok" or (each.outcome == "info" and each.do != "read"):
                keys[bytes(each.key)].append(each)
        for key, operations in keys.items():
            label = "the register" if key == bytes(NOTHING) else f"register {key.decode()}"
            clusters = _clusters(operations)
            if clusters is not None:
                found = _by_zones(clusters)
            else:
                try:
                    found = search(operations, self.configurations)
                except TooMany as stop:
                    case.remark(self.name, f"{label}: {stop}")
                    continue
            if found is not None:
                sentence, proof = found
                yield Violation(self.name, f"{label}: {sentence}", tuple(proof[:SHOWN]))


Finding = tuple[str, Sequence[Registered]]


class TooMany(Exception):
    """The search reached its limit."""


# ---- zones


class Cluster:
    """One value's write and its reads. `finish` is the earliest end among them, `start` the latest beginning."""

    __slots__ = ("finish", "finished", "reads", "start", "started", "value", "write", "written")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.write: Registered | None = None
        self.written = False
        """By an operation that may have happened, or by nobody because it is what registers begin as."""
        self.reads: list[Registered] = []
        self.finish = inf
        self.start = -inf
        self.finished: Registered | None = None
        self.started: Registered | None = None


def _clusters(operations: Sequence[Registered]) -> dict[bytes, Cluster] | None:
    """By value; None where a value was written twice, or something was compared and set."""
    clusters: dict[bytes, Cluster] = {INITIAL: Cluster(INITIAL)}
    initial = clusters[INITIAL]
    initial.written = True
    initial.finish = -inf
    for each in operations:
        do, start, end = each.do, each.start, each.end
        value = bytes(each.value)
        if value[0] in _MANY_WAYS:  # what `canonical` asks: the hot path does without the call
            value = canonical(each.value)
        cluster = clusters.get(value)
        if cluster is None:
            cluster = clusters[value] = Cluster(value)
        if do == "read":
            cluster.reads.append(each)
        elif do == "cas" or cluster.written:
            return None
        else:
            cluster.written, cluster.write = True, each
        if end is not None and end < cluster.finish and each.outcome == "ok":
            cluster.finish, cluster.finished = end, each
        if start > cluster.start:
            cluster.start, cluster.started = start, each
    return clusters


def _by_zones(clusters: Mapping[bytes, Cluster]) -> Finding | None:
    """What is wrong with these values, if anything.

    A value whose operations all overlap has a backward zone; else its forward zone is the time in which the register
    must have held it. A write of unknown outcome that nobody saw has a zone without end, which stands in no other.
    """
    forward: list[Cluster] = []
    backward: list[Cluster] = []
    for value, cluster in clusters.items():
        write = cluster.write
        if not cluster.written:
            return f"{value.decode()} was read, and nobody had written it.", cluster.reads[:1]
        if write is not None and cluster.finish < write.start:
            first = cluster.finished
            return (
                f"{value.decode()} was read before its write began.",
                [each for each in (first, write) if each is not None],
            )
        (forward if cluster.finish < cluster.start else backward).append(cluster)
    forward.sort(key=lambda cluster: cluster.finish)
    longest: Cluster | None = None
    for cluster in forward:
        if longest is not None and cluster.finish < longest.start:
            return _mixed(longest, cluster)
        if longest is None or cluster.start > longest.start:
            longest = cluster
    finishes = [cluster.finish for cluster in forward]
    for cluster in backward:
        index = bisect_left(finishes, cluster.start) - 1
        if index >= 0 and cluster.finish < forward[index].start:
            return _mixed(forward[index], cluster)
    return None


def _mixed(one: Cluster, other: Cluster) -> Finding:
    """Each of the two values would have to stand before the other."""
    records = (one.write, one.finished, other.write, other.finished, other.started, one.started)
    proof = list({id(each): each for each in records if each is not None}.values())
    sentence = (
        f"{one.value.decode()} and {other.value.decode()} would each have to come before the other."
    )
    return sentence, proof


# ---- search

Configuration = tuple[bytes, int]
"""The register's value, and which of the operations under way have had their effect, as bits."""


class Step:
    """An operation, as the search sees it."""

    __slots__ = ("end", "makes", "needs", "record", "required")

    def __init__(self, record: Registered) -> None:
        self.record = record
        self.required = record.outcome == "ok"
        self.end = inf if record.end is None else record.end
        wanted = {"read": record.value, "cas": record.expected}.get(record.do)
        self.needs = None if wanted is None else canonical(wanted)
        """The value that must be there; None for any."""
        self.makes = canonical(record.value)


def search(operations: Sequence[Registered], most_configurations: int) -> Finding | None:
    """The operation at whose end no order is left, and those that matter to it; None where there is one.

    Raises TooMany when it has looked at that many configurations.
    """
    steps = [Step(each) for each in operations]
    observed = {step.needs for step in steps}
    # What need not have happened and was not observed constrains nothing.
    steps = [step for step in steps if step.required or step.makes in observed]
    moments = sorted(
        [(step.record.start, 0, index) for index, step in enumerate(steps)]
        + [(step.end, 1, index) for index, step in enumerate(steps) if step.required]
    )  # beginnings before ends at equal times: those overlap
    under_way: dict[int, Step] = {}
    """By their bits. A bit is used again when its operation has ended, so that numbers stay small."""
    bits: dict[int, int] = {}
    free: list[int] = []
    configurations: set[Configuration] = {(INITIAL, 0)}
    looked_at = 0
    for _, is_end, index in moments:
        if not is_end:
            bit = bits[index] = free.pop() if free else 1 << len(bits)
            under_way[bit] = steps[index]
            continue
        bit = bits[index]
        reached, seen = _with_effect(
            configurations, under_way, bit, most_configurations - looked_at
        )
        if not reached:
            return _stuck(seen, under_way, steps[index], steps)
        looked_at += len(seen)
        configurations = {(value, done & ~bit) for value, done in reached}
        del under_way[bit]
        free.append(bit)
    return None


def _with_effect(
    configurations: set[Configuration], under_way: dict[int, Step], wanted: int, most: int
) -> tuple[set[Configuration], set[Configuration]]:
    """Where these can come to with the wanted operation's effect in, and all that was looked at on the way."""
    reached: set[Configuration] = set()
    seen = set(configurations)
    waiting = list(configurations)
    while waiting:
        value, done = waiting.pop()
        # A read that finds its value now changes nothing and need not be tried later.
        for bit, step in under_way.items():
            if step.needs == value and step.record.do == "read":
                done |= bit
        if done & wanted:
            # What may follow is decided when the next operation ends, not before.
            reached.add((value, done))
            continue
        if len(seen) > most:
            raise TooMany(
                "not judged, because too many of its operations overlap (raise configurations=)"
            )
        for bit, step in under_way.items():
            if done & bit or step.record.do == "read" or step.needs not in (None, value):
                continue
            after = (step.makes, done | bit)
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return reached, seen


def _stuck(
    seen: set[Configuration], under_way: dict[int, Step], ended: Step, steps: Sequence[Step]
) -> Finding:
    record = ended.record
    found = sorted({value for value, _ in seen})
    others = [step.record for step in under_way.values() if step is not ended]
    began = {id(step) for step in under_way.values()}
    # Who made what it could have found: the last of each value, of those that had ended.
    makers = {
        step.makes: step.record
        for step in sorted(steps, key=lambda step: step.end)
        if step.record.do != "read" and step.end < ended.end and id(step) not in began
    }
    wanted = ended.needs or b""
    sentence = (
        f"the {record.do} of {wanted.decode()} could only have found "
        f"{' or '.join(value.decode() for value in found)}."
    )
    last = [makers[value] for value in found if value in makers][-2:]
    return sentence, [*last, *others[: SHOWN - 1 - len(last)], record]


_MANY_WAYS = b'"[{'
"""What a text, a list or an object begins with: equal ones may be written in several ways."""


def canonical(raw: msgspec.Raw) -> bytes:
    """Equal for equal JSON values, however they are written."""
    text = bytes(raw)
    if text[0] in _MANY_WAYS:
        return msgspec.json.encode(msgspec.json.decode(text), order="deterministic")
    return text
