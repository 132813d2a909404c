"""Rows in memory keep what every read store keeps."""

import pytest

from aftertide.domain.ports import ReadStoreFactory
from aftertide.stores.memory_rows import open_memory_rows
from tests.contracts.read_store import ReadStoreContract


class TestMemoryReadStore(ReadStoreContract):
    @pytest.fixture
    def factory(self) -> ReadStoreFactory:
        return open_memory_rows
