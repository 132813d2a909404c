"""Workload W deals out what it says."""

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accounts import names, shares


@pytest.mark.parametrize("clients", [1, 100, 1_000])
def test_w_is_20_deposits_to_each_of_1_000_accounts_whatever_the_clients(clients: int) -> None:
    accounts = names(1_000)
    dealt = shares(20_000, clients, accounts)
    assert len(dealt) == clients
    assert {len(share) for share in dealt} == {20_000 // clients}
    assert Counter(chain.from_iterable(dealt)) == dict.fromkeys(accounts, 20)


def test_one_hot_account_gets_every_deposit_from_every_client() -> None:
    assert shares(3_000, 1_000, ["hot"]) == [["hot"] * 3] * 1_000


@given(st.integers(0, 500), st.integers(1, 40), st.integers(1, 40))
def test_nothing_is_lost_or_doubled_and_shares_differ_by_one_at_most(
    commands: int, clients: int, accounts: int
) -> None:
    dealt = shares(commands, clients, names(accounts))
    sizes = [len(share) for share in dealt]
    per_account = Counter(chain.from_iterable(dealt))
    assert sum(sizes) == commands
    assert max(sizes) - min(sizes) <= 1
    assert len(per_account) == min(commands, accounts)
    assert not per_account or max(per_account.values()) - min(per_account.values()) <= 1


def test_accounts_have_names_of_one_width_and_none_twice() -> None:
    ids = names(100_000)
    assert len(set(ids)) == 100_000
    assert len({len(id) for id in ids}) == 1
