"""What every event store keeps, as one class: a store's test is its subclass with a `store`.

class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[EventStore]: ...
"""

import asyncio
from collections.abc import Sequence
from itertools import count

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aftertide.domain.messages import Append, Commit, NewEvent, Position, StreamKey, Version
from aftertide.domain.ports import EventStore, StoredPage

AT = 1_772_000_000.123_456
"""Unix seconds."""

IDS = [
    "alice",
    "a-b",
    "-",
    "ü\N{GRINNING FACE}",
    "'; DROP TABLE events; --",
    " ",
    "%",
    "A",
    "x" * 512,
]

_categories = count(1)


def event(data: str = "{}", type: str = "Deposited") -> NewEvent:
    return NewEvent(type, data.encode(), None, "command-1", "")


def append(id: str, expected: int, *events: NewEvent | str, key: int = 0) -> Append:
    made = [one if isinstance(one, NewEvent) else event(one) for one in events]
    return Append("account", id, Version(expected), made, StreamKey(key))


async def commit(store: EventStore, *batch: Append) -> Commit:
    return await store.append(batch, AT)


async def everything(store: EventStore) -> StoredPage:
    return await store.read(Position(0), 1_000_000)


def texts(page: StoredPage) -> list[tuple[str, int, str]]:
    """(id, version, data) of a page, in its order."""
    return [(page.streams[row[1]][1], row[2], text(row[7])) for row in page.rows]


def text(data: bytes | str) -> str:
    """A payload as text: stores may give it as either."""
    return data if isinstance(data, str) else data.decode()


async def loaded(store: EventStore, id: str, after: int = 0) -> list[str]:
    [stream] = await store.load([("account", id, Version(after))], 1_000_000)
    assert stream.complete
    return [text(data) for _, data, _ in stream.rows]


class EventStoreContract:
    """Subclass it and give it a fixture `store`: a new one, closed after the test."""

    # ---- append

    async def test_a_new_store_is_empty(self, store: EventStore) -> None:
        assert await store.head() == 0
        assert (await everything(store)).rows in ([], ())
        [stream] = await store.load([("account", "alice", Version(0))], 10)
        assert (stream.stream_key, stream.version, list(stream.rows), stream.complete) == (
            0,
            0,
            [],
            True,
        )

    async def test_its_name_is_there_and_stays(self, store: EventStore) -> None:
        name = store.database_id
        assert isinstance(name, str)
        assert name
        await commit(store, append("alice", 0, "1"))
        assert store.database_id == name

    async def test_positions_are_dense_and_in_commit_order(self, store: EventStore) -> None:
        first = await commit(store, append("alice", 0, "1", "2"), append("bob", 0, "3"))
        second = await commit(store, append("bob", 1, "4"), append("alice", 2, "5", "6"))

        assert (first.head_before, first.head) == (0, 3)
        assert (second.head_before, second.head) == (3, 6)
        assert await store.head() == 6
        page = await everything(store)
        assert [row[0] for row in page.rows] == [1, 2, 3, 4, 5, 6]
        assert texts(page) == [
            ("alice", 1, "1"),
            ("alice", 2, "2"),
            ("bob", 1, "3"),
            ("bob", 2, "4"),
            ("alice", 3, "5"),
            ("alice", 4, "6"),
        ]

    async def test_an_event_comes_back_with_all_that_was_given(self, store: EventStore) -> None:
        with_context = NewEvent(
            "Opened", b'{"x":"\xc3\xbc\\u0000"}', None, "c-2", '{"correlation_id":"k"}'
        )
        committed = await commit(store, append("alice", 0, "1", with_context))

        assert committed.recorded_at == AT
        page = await everything(store)
        [plain, full] = page.rows
        assert page.streams[plain[1]] == ("account", "alice")
        assert [page.types[row[3]] for row in page.rows] == ["Deposited", "Opened"]
        assert {row[4] for row in page.rows} == {int(AT * 1_000_000)}
        assert (*plain[5:7], text(plain[7])) == ("command-1", "", "1")
        assert (*full[5:7], text(full[7])) == (
            "c-2",
            '{"correlation_id":"k"}',
            with_context.data.decode(),
        )

    @pytest.mark.parametrize("id", IDS)
    async def test_any_text_can_be_an_id(self, store: EventStore, id: str) -> None:
        await commit(store, append("other", 0, "0"), append(id, 0, "1"))
        await commit(store, append(id, 1, "2"))
        assert await loaded(store, id) == ["1", "2"]
        page = await everything(store)
        assert page.streams[page.rows[-1][1]] == ("account", id)

    async def test_ids_that_look_alike_are_different_streams(self, store: EventStore) -> None:
        await commit(store, *(append(id, 0, id) for id in IDS))
        await commit(store, append("a", 0, "small"), append("ALICE", 0, "large"))
        for id in IDS:
            assert await loaded(store, id) == [id]

    async def test_a_payload_of_a_megabyte_is_an_event_like_others(self, store: EventStore) -> None:
        large = "x" * 1_048_576
        await commit(store, append("alice", 0, "1", large, "3"))
        assert await loaded(store, "alice") == ["1", large, "3"]

    async def test_a_thousand_streams_and_a_thousand_events_fit_in_one_batch(
        self, store: EventStore
    ) -> None:
        many = [append(f"{number}", 0, f"{number}") for number in range(1_000)]
        long = append("long", 0, *(f"{number}" for number in range(1_111)))
        committed = await commit(store, *many, long)

        assert (committed.head, dict(committed.conflicts)) == (2_111, {})
        assert len(set(committed.stream_keys.values())) == 1_001
        assert await loaded(store, "long") == [f"{number}" for number in range(1_111)]
        assert await loaded(store, "777") == ["777"]

    async def test_a_batch_of_nothing_changes_nothing(self, store: EventStore) -> None:
        await commit(store, append("alice", 0, "1"))
        committed = await commit(store)
        assert (committed.head_before, committed.head) == (1, 1)
        assert await store.head() == 1

    async def test_new_streams_are_reported_with_the_key_that_they_got(
        self, store: EventStore
    ) -> None:
        first = await commit(store, append("alice", 0, "1"), append("bob", 0, "2"))
        alice, bob = first.stream_keys[0], first.stream_keys[1]
        assert alice != bob
        assert 0 not in (alice, bob)

        second = await commit(store, append("bob", 1, "3", key=bob), append("carol", 0, "4"))
        assert set(second.stream_keys) == {1}
        page = await everything(store)
        assert [row[1] for row in page.rows] == [alice, bob, bob, second.stream_keys[1]]
        [stream] = await store.load([("account", "bob", Version(0))], 10)
        assert stream.stream_key == bob

    async def test_a_stream_that_exists_is_found_without_its_key(self, store: EventStore) -> None:
        key = (await commit(store, append("alice", 0, "1"))).stream_keys[0]
        again = await commit(store, append("alice", 1, "2"))
        assert again.stream_keys.get(0, key) == key
        assert await loaded(store, "alice") == ["1", "2"]

    # ---- conflicts

    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    @pytest.mark.parametrize("with_key", [True, False])
    async def test_an_append_that_expects_another_version_writes_nothing(
        self, store: EventStore, expected: int, with_key: bool
    ) -> None:
        key = (await commit(store, append("alice", 0, "1", "2"))).stream_keys[0]
        lost = await commit(store, append("alice", expected, "x", "y", key=key if with_key else 0))

        assert dict(lost.conflicts) == {0: 2}
        assert (lost.head_before, lost.head) == (2, 2)
        assert await loaded(store, "alice") == ["1", "2"]
        assert await store.head() == 2
        await commit(store, append("alice", 2, "3"))
        assert await loaded(store, "alice") == ["1", "2", "3"]

    async def test_a_stream_that_does_not_exist_is_at_version_zero(self, store: EventStore) -> None:
        lost = await commit(store, append("alice", 1, "x"))
        assert dict(lost.conflicts) == {0: 0}
        [stream] = await store.load([("account", "alice", Version(0))], 10)
        assert stream.stream_key == 0
        won = await commit(store, append("alice", 0, "1"))
        assert (won.head, dict(won.conflicts)) == (1, {})

    async def test_losers_leave_the_winners_of_their_batch_alone(self, store: EventStore) -> None:
        await commit(store, append("alice", 0, "a1"), append("bob", 0, "b1", "b2"))
        mixed = await commit(
            store,
            append("bob", 1, "too low", type_of("Lost")),
            append("alice", 1, "a2", "a3"),
            append("nobody", 7, "too high"),
            append("carol", 0, "c1"),
            append("bob", 2, "b3"),
        )

        assert dict(mixed.conflicts) == {0: 2, 2: 0}
        assert (mixed.head_before, mixed.head) == (3, 7)
        assert 3 in mixed.stream_keys
        page = await everything(store)
        assert [row[0] for row in page.rows] == [1, 2, 3, 4, 5, 6, 7]
        assert [data for _, _, data in texts(page)][3:] == ["a2", "a3", "c1", "b3"]
        assert page.streams[mixed.stream_keys[3]] == ("account", "carol")
        [nobody] = await store.load([("account", "nobody", Version(0))], 10)
        assert nobody.stream_key == 0
        # A type that only a loser brought means nothing afterwards, or it means itself.
        await commit(store, append("carol", 1, type_of("Won"), type_of("Lost")))
        page = await everything(store)
        assert [page.types[row[3]] for row in page.rows[-2:]] == ["Won", "Lost"]

    async def test_appends_of_one_stream_in_one_batch_stand_one_behind_the_other(
        self, store: EventStore
    ) -> None:
        committed = await commit(
            store, append("alice", 0, "1", "2"), append("bob", 0, "b"), append("alice", 2, "3")
        )
        assert dict(committed.conflicts) == {}
        assert await loaded(store, "alice") == ["1", "2", "3"]

        lost = await commit(
            store, append("alice", 2, "x"), append("alice", 3, "4"), append("alice", 3, "y")
        )
        assert dict(lost.conflicts) == {0: 3, 2: 4}
        assert await loaded(store, "alice") == ["1", "2", "3", "4"]

    async def test_an_append_does_not_see_those_behind_it_in_its_batch(
        self, store: EventStore
    ) -> None:
        committed = await commit(store, append("alice", 1, "second"), append("alice", 0, "first"))
        assert dict(committed.conflicts) == {0: 0}
        assert texts(await everything(store)) == [("alice", 1, "first")]

    # ---- load and read

    async def test_load_gives_each_stream_after_its_version(self, store: EventStore) -> None:
        await commit(store, append("alice", 0, "1", "2", "3"), append("bob", 0, "4"))
        alice, nobody, bob, at_its_end = await store.load(
            [
                ("account", "alice", Version(1)),
                ("account", "nobody", Version(0)),
                ("account", "bob", Version(0)),
                ("account", "bob", Version(1)),
            ],
            100,
        )
        assert alice.version == 3
        assert [(type, text(data), at) for type, data, at in alice.rows] == [
            ("Deposited", "2", 2),
            ("Deposited", "3", 3),
        ]
        assert (nobody.stream_key, nobody.version, list(nobody.rows)) == (0, 0, [])
        assert (bob.version, [(text(data), at) for _, data, at in bob.rows]) == (1, [("4", 4)])
        assert (at_its_end.version, list(at_its_end.rows)) == (1, [])
        assert at_its_end.stream_key == bob.stream_key
        assert all(stream.complete for stream in (alice, nobody, bob, at_its_end))

    async def test_what_the_limit_cut_off_is_said_and_can_be_asked_for(
        self, store: EventStore
    ) -> None:
        events = [f"{number}" for number in range(10)]
        await commit(store, append("alice", 0, *events), append("bob", 0, "b"))
        got: dict[str, list[str]] = {"alice": [], "bob": []}
        wanted = {"alice": Version(0), "bob": Version(0)}
        for _ in range(20):
            streams = await store.load([("account", id, at) for id, at in wanted.items()], 4)
            assert sum(len(stream.rows) for stream in streams) <= 4
            for id, stream in zip(list(wanted), streams, strict=True):
                got[id] += [text(data) for _, data, _ in stream.rows]
                assert stream.version == len(got[id])
                if stream.complete:
                    del wanted[id]
                else:
                    wanted[id] = stream.version
            if not wanted:
                break
        assert got == {"alice": events, "bob": ["b"]}

    async def test_load_sees_every_append_that_was_done(self, store: EventStore) -> None:
        for number in range(30):
            await commit(store, append("alice", number, f"{number}"))
            assert await loaded(store, "alice", number) == [f"{number}"]

    async def test_pages_hold_every_event_once_and_in_order(self, store: EventStore) -> None:
        for number in range(7):
            await commit(
                store, append("alice", number * 3, "a", "b", "c"), append(f"s{number}", 0, "d")
            )
        whole = list((await everything(store)).rows)
        assert len(whole) == 28
        for limit in (1, 5, 28, 100):
            rows: list[object] = []
            after = Position(0)
            while (page := await store.read(after, limit)).rows:
                assert len(page.rows) <= limit
                assert page.head == 28
                assert all(row[1] in page.streams and row[3] in page.types for row in page.rows)
                rows += page.rows
                after = page.rows[-1][0]
            assert rows == whole
        assert list((await store.read(Position(99), 5)).rows) == []

    async def test_one_stream_is_read_in_version_order(self, store: EventStore) -> None:
        await commit(store, append("alice", 0, "1", "2"), append("bob", 0, "x"))
        await commit(store, append("alice", 2, "3"))
        page = await store.read_stream("account", "alice", Version(0), 2)
        assert texts(page) == [("alice", 1, "1"), ("alice", 2, "2")]
        page = await store.read_stream("account", "alice", Version(2), 2)
        assert texts(page) == [("alice", 3, "3")]
        assert [row[0] for row in page.rows] == [4]
        for id, after in (("alice", 3), ("nobody", 0)):
            page = await store.read_stream("account", id, Version(after), 2)
            assert (list(page.rows), page.head) == ([], 4)

    # ---- what else it promises

    async def test_an_append_starts_at_once_and_no_cancellation_reaches_it(
        self, store: EventStore
    ) -> None:
        done = store.append([append("alice", 0, "1")], AT)

        async def wait() -> None:
            await asyncio.shield(done)

        for native in (True, False):
            if native:
                task = asyncio.create_task(wait())
                await anyio.lowlevel.checkpoint()
                task.cancel()
                await asyncio.wait([task])
            else:
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await wait()
        assert (await done).head == 1
        assert await loaded(store, "alice") == ["1"]

    async def test_statistics_count_what_was_committed(self, store: EventStore) -> None:
        before = store.statistics()
        assert (before.transactions, before.events) == (0, 0)
        await commit(store, append("alice", 0, "1", "2"), append("bob", 0, "3"))
        await commit(store, append("alice", 7, "lost"))
        await commit(store, append("alice", 2, "4"))
        after = store.statistics()
        assert (after.transactions, after.events) == (2, 4)
        assert after.thread_hops - before.thread_hops in (0, 3)

    async def test_closing_twice_is_closing_once(self, store: EventStore) -> None:
        await store.aclose()
        await store.aclose()

    @given(
        batches=st.lists(
            st.lists(
                st.tuples(
                    st.sampled_from("abc"), st.integers(-2, 2), st.integers(1, 3), st.booleans()
                ),
                max_size=6,
            ),
            max_size=6,
        )
    )
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_any_batches_leave_what_a_list_of_lists_would_hold(
        self, store: EventStore, batches: list[list[tuple[str, int, int, bool]]]
    ) -> None:
        category = (
            f"run{next(_categories)}"  # one store for all examples, so each has its own streams
        )
        log: list[tuple[str, int, bytes]] = []
        streams: dict[str, list[bytes]] = {}
        keys: dict[str, StreamKey] = {}
        start = await store.head()
        for batch in batches:
            appends: list[Append] = []
            conflicts: dict[int, int] = {}
            new: Sequence[bytes]
            planned = {id: len(events) for id, events in streams.items()}
            for index, (id, off, size, with_key) in enumerate(batch):
                version = planned.get(id, 0)
                expected = Version(max(0, version + off))
                new = [f"{len(log)}.{index}.{number}".encode() for number in range(size)]
                events = [NewEvent(f"T{size}", data, None, "c", "") for data in new]
                key = keys.get(id, StreamKey(0)) if with_key else StreamKey(0)
                appends.append(Append(category, id, expected, events, key))
                if expected != version:
                    conflicts[index] = version
                else:
                    planned[id] = version + size
            committed = await store.append(appends, AT)

            assert dict(committed.conflicts) == conflicts
            assert committed.head_before == start + len(log)
            for index, one in enumerate(appends):
                if index not in conflicts:
                    stream = streams.setdefault(one.id, [])
                    for made in one.events:
                        stream.append(made.data)
                        log.append((one.id, len(stream), made.data))
                    keys[one.id] = committed.stream_keys.get(
                        index, keys.get(one.id, one.stream_key)
                    )
            assert committed.head == start + len(log)
        page = await store.read(start, 1_000_000)
        assert [row[0] for row in page.rows] == [*range(start + 1, start + len(log) + 1)]
        assert texts(page) == [(id, version, data.decode()) for id, version, data in log]
        assert {page.streams[row[1]][0] for row in page.rows} <= {category}


def type_of(name: str) -> NewEvent:
    return event(f'"{name}"', name)
