"""Equal seeds take equal ways: in one process, and in others that hash otherwise."""

import re

import pytest

from aftertide.simulation import loop
from aftertide.simulation.errors import Diverged
from aftertide.simulation.proof import find_world, prove_determinism
from aftertide.simulation.trace import Trace, first_difference

from . import worlds


@pytest.mark.parametrize("world", ["bank", "crashing_bank", "cancelled_group", "writers"])
def test_the_same_seed_takes_the_same_way_here_and_in_other_processes(world: str) -> None:
    prove_determinism(f"tests.simulation.worlds:{world}", 3)


@pytest.mark.parametrize("world", [worlds.bank, worlds.crashing_bank, worlds.cancelled_group])
def test_one_seed_has_one_trace_and_many_seeds_have_many(world: worlds.World) -> None:
    assert len({world(5).trace.digest() for _ in range(10)}) == 1
    assert len({world(seed).trace.digest() for seed in range(10)}) == 10


@pytest.mark.parametrize(
    ("world", "where"),
    [
        ("addresses", "again in this process"),
        ("strings_in_a_set", "in a process with PYTHONHASHSEED="),
    ],
)
def test_what_is_not_repeatable_is_found_with_its_first_event(world: str, where: str) -> None:
    with pytest.raises(Diverged, match=where) as caught:
        prove_determinism(f"tests.simulation.worlds:{world}", 3)
    assert re.search(r"event \d+ differs", str(caught.value))
    assert f"both:   step  {world}.<locals>.main" in str(caught.value)
    assert "\n    first:  call  " in str(caught.value)


def test_without_its_order_anyio_cancels_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patch is needed: when anyio's own cancel scopes come back, so does the difference."""
    monkeypatch.setattr(loop, "ordering_patches", lambda loop: [])
    assert len({worlds.cancelled_group(3).trace.digest() for _ in range(10)}) > 1


@pytest.mark.parametrize("name", ["nowhere:at_all", "tests.simulation.worlds:missing", "plain"])
def test_a_world_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="names no world"):
        find_world(name)


def test_the_first_difference_shows_what_both_had_before() -> None:
    first, second = Trace(), Trace()
    for trace, last in ((first, "a"), (second, "b")):
        for label in ("one", "two", last):
            trace.note(label)
    difference = first.difference(second)
    assert difference is not None
    assert difference.place == 2
    assert (difference.first, difference.second) == ("call  a", "call  b")
    assert difference.before == ("call  one", "call  two")
    assert first.difference(first) is None
    assert first.digest() != second.digest()


def test_a_trace_that_ended_earlier_differs_where_it_ended() -> None:
    difference = first_difference(["a", "b"], ["a"])
    assert difference is not None
    assert (difference.place, difference.first, difference.second) == (1, "b", "(it had ended)")
