"""A view is a value that says what it keeps, and folds events as a projection will."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from aftertide import Lag
from aftertide.domain.messages import Position, RecordedEvent, Version
from aftertide.domain.view import MOST_REPLICAS, View


@dataclass(frozen=True)
class Deposited:
    amount: int
    to: str = ""


@dataclass(frozen=True)
class Closed:
    pass


@dataclass(frozen=True)
class Noted:
    text: str


@dataclass(frozen=True)
class Balance:
    account: str
    balance: int


def apply(
    row: Balance | None, event: RecordedEvent[Deposited | Closed], key: str
) -> Balance | None:
    match event.event:
        case Deposited(amount):
            return Balance(key, amount + (row.balance if row else 0))
        case Closed():
            return None


def both(event: RecordedEvent[Deposited | Closed]) -> Iterable[str]:
    yield event.id
    if isinstance(event.event, Deposited) and event.event.to:
        yield event.event.to


async def later(row: Balance | None, event: RecordedEvent[Deposited], key: str) -> Balance | None:
    return row


def log(*events: tuple[str, object]) -> list[RecordedEvent[Any]]:
    return [
        RecordedEvent(Position(at), "account", id, Version(at), event, 0.0, "c")
        for at, (id, event) in enumerate(events, 1)
    ]


BALANCES = View("balances", row=Balance, key="account", apply=apply)


def test_which_events_a_view_wants_is_read_from_its_annotation() -> None:
    assert BALANCES.events == (Deposited, Closed)
    given = View("given", row=Balance, key="account", apply=apply, events=[Deposited])
    assert given.events == (Deposited,)


def test_a_view_that_does_not_say_which_events_it_wants_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"annotate apply's second parameter as RecordedEvent\[A \| B\]"
    ):
        View("unsaid", row=Balance, key="account", apply=lambda row, event, key: row)


def test_the_fold_is_one_row_per_key_in_the_order_of_events() -> None:
    events = log(
        ("a", Deposited(1)),
        ("b", Deposited(5)),
        ("a", Noted("passed over")),
        ("a", Deposited(2)),
        ("b", Closed()),
        ("c", Closed()),
    )
    assert BALANCES.fold(events) == {"a": Balance("a", 3)}
    assert BALANCES.fold(events[:4]) == {"a": Balance("a", 3), "b": Balance("b", 5)}
    assert BALANCES.fold([]) == {}


def test_an_event_may_concern_several_keys() -> None:
    spread = View("spread", row=Balance, key="account", apply=apply, keys=both)
    assert spread.fold(log(("a", Deposited(1, to="b")), ("b", Deposited(2)))) == {
        "a": Balance("a", 1),
        "b": Balance("b", 3),
    }
    [event] = log(("a", Deposited(1, to="b")))
    assert list(BALANCES.keys_of(event)) == ["a"]
    assert list(spread.keys_of(event)) == ["a", "b"]


def test_keys_and_indexes_are_one_field_or_several() -> None:
    view: View[Any, Any, Any] = View(
        "v",
        row=Balance,
        key=("account", "balance"),
        apply=apply,
        indexes=["balance", ("balance", "account")],
    )
    assert view.key == ("account", "balance")
    assert view.indexes == (("balance",), ("balance", "account"))
    assert BALANCES.key == ("account",)


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "2"])
def test_a_version_is_a_whole_number_from_one(version: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ValueError, match="the version of view 'v' is"):
        View("v", row=Balance, key="account", apply=apply, version=version)


@pytest.mark.parametrize("wrong", [{"apply": later}, {"apply": None}, {"keys": later}, {"keys": 5}])
def test_what_is_no_plain_function_is_refused(wrong: dict[str, Any]) -> None:
    functions: dict[str, Any] = {"apply": apply, **wrong}
    with pytest.raises(TypeError, match="must be a plain function, not async"):
        View("v", row=Balance, key="account", events=[Deposited], **functions)


def test_replicas_share_a_lag_or_have_one_each() -> None:
    assert BALANCES.replicas(3).lags == (Lag.none(),) * 3
    assert BALANCES.replicas(2, lag=Lag.constant(1)).lags == (Lag.constant(1),) * 2
    each = [Lag.constant(1), Lag.exponential(2)]
    assert BALANCES.replicas(2, lag=each).lags == tuple(each)
    assert BALANCES.with_lag(Lag.constant(1)) == BALANCES.replicas(1, lag=Lag.constant(1))


@pytest.mark.parametrize("count", [0, -1, MOST_REPLICAS + 1, True, 1.0])
def test_a_number_of_replicas_that_is_not_allowed_is_refused(count: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ValueError, match=f"allowed are 1 to {MOST_REPLICAS}"):
        BALANCES.replicas(count, lag=[Lag.none()])


def test_lags_that_do_not_match_the_replicas_are_refused() -> None:
    with pytest.raises(ValueError, match="has 2 replicas and 1 lags"):
        BALANCES.replicas(2, lag=[Lag.none()])
    wrong: Any = [0.5]
    with pytest.raises(TypeError, match=r"0\.5 is no lag"):
        BALANCES.replicas(1, lag=wrong)


def test_views_are_told_apart_by_identity_and_shown_by_name() -> None:
    twin = View("balances", row=Balance, key="account", apply=apply)
    assert twin != BALANCES
    assert repr(BALANCES) == "<View balances>"
