"""A subscriber who stops a sender id, as the sandbox plays one."""

from typing import Any

import pytest
from tests.integration.sandbox.conftest import Caller, Intake

STOP = {"number": "+254711000001", "sender": "ACME"}


async def test_stop_calls_back_as_the_aggregator_does(caller: Caller, intake: Intake) -> None:
    answer = await caller.control("POST", "/opt-outs", STOP)

    path, form = await intake.next_report()
    assert answer == {"intake_status": 200}
    assert path == "/opt-out/africastalking/at-secret"
    assert form == {"senderId": "ACME", "phoneNumber": "+254711000001"}


async def test_stop_tells_what_the_intake_said(caller: Caller, intake: Intake) -> None:
    intake.answers.append(404)

    answer = await caller.control("POST", "/opt-outs", {**STOP, "aggregator": "celcom"})

    assert answer == {"intake_status": 404}


@pytest.mark.parametrize(
    ("body", "status"),
    [({"number": "+254711000001"}, 400), ({**STOP, "aggregator": "pigeon"}, 404)],
)
async def test_stop_is_refused_when_it_lacks_something(
    caller: Caller, body: dict[str, Any], status: int
) -> None:
    async with caller.session.post(caller.url("/control/opt-outs"), json=body) as answer:
        assert answer.status == status
