"""A platform of its own for the chaos, as no other test could stand it."""

import random
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.chaos.customers import Reception, open_reception
from tests.chaos.platform import Platform
from tests.chaos.waiting import until
from tests.e2e.conftest import folder_for_servers, running_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The whole platform, real processes and all."""
    with folder_for_servers() as data_dir, running_platform(data_dir) as running:
        yield Platform(running.process, running.data_dir)


@pytest.fixture
async def reception(platform: Platform) -> AsyncIterator[Reception]:
    """Where accounts are opened."""
    # A test that failed may have left something to recover from.
    await until(platform.whole, "every process is of use", within_seconds=30)
    async with open_reception(platform) as reception:
        yield reception


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draws the same again for the same seed, which pytest shows when a test fails."""
    return random.Random(f"{request.config.option.hypothesis_seed}:{request.node.nodeid}")
