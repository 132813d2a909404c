"""The log in memory keeps what every event store keeps."""

from collections.abc import AsyncIterator

import pytest

from aftertide.domain.ports import EventStore
from aftertide.stores.memory_events import MemoryEventStore
from tests.contracts.event_store import EventStoreContract


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[EventStore]:
        store = MemoryEventStore()
        yield store
        await store.aclose()
