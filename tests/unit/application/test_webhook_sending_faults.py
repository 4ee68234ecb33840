import pytest
from tests.unit.application.test_webhook_sending import World


@pytest.fixture
def world() -> World:
    return World()


async def test_take_uses_no_attempt_up_when_no_key_signs(world: World):
    world.courier.may_end.set()
    world.courier.unsigned = {1_001}

    await world.take(1_001, 2_001)

    assert [command.delivery_id.int for command in world.ledger.commands] == [2_001]
    assert (world.put_off, world.sender.under_way) == ([(1_001, 30.0)], 0)
    assert "no_key" in world.heard.results
