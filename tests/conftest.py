"""What every test gets: one event loop backend, since the hot path is asyncio's own."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
