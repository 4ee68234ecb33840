"""Each switch of the control endpoint, over HTTP."""

import asyncio

import aiohttp
import pytest
from tests.integration.sandbox.conftest import Caller, ExpectQuiet, Intake

NUMBER = "+254711000001"


async def codes_of(caller: Caller, count: int) -> list[int]:
    codes = []
    for _ in range(count):
        answer = await caller.celcom(NUMBER)
        row = answer.get("responses", [answer])[0]
        codes.append(row.get("respose-code") or row["response-code"])
    return codes


async def test_patch_leaves_the_switches_that_it_does_not_name(caller: Caller):
    await caller.switch("celcom", latency_ms=1)

    await caller.switch("celcom", error_rate=0.5)

    state = await caller.control("GET", "")
    assert state["aggregators"]["celcom"]["controls"]["latency_ms"] == 1
    assert state["aggregators"]["celcom"]["controls"]["error_rate"] == 0.5
    assert state["aggregators"]["africastalking"]["controls"]["error_rate"] == 0


async def test_put_sets_the_switches_that_it_does_not_name_to_their_default(caller: Caller):
    await caller.switch("celcom", latency_ms=1, outage="http_500")

    await caller.control("PUT", "/celcom", {"error_rate": 0.5})

    state = await caller.control("GET", "")
    assert state["aggregators"]["celcom"]["controls"] == {
        "latency_ms": 0,
        "latency_jitter_ms": 0,
        "error_rate": 0.5,
        "throttle_per_second": 0,
        "outage": "none",
        "report_delay_ms": 150,
        "answer_lost_rate": 0.0,
        "drop_reports_rate": 0.0,
        "duplicate_reports_rate": 0.0,
        "seed": 1,
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"error_rate": 1.5}',
        b'{"outage": "siesta"}',
        b'{"no_such_switch": 1}',
        b"[]",
        b"",
        b"\xff",
    ],
)
async def test_a_change_is_refused_when_it_is_not_of_the_switches(caller: Caller, body: bytes):
    before = await caller.control("GET", "")

    for method in ("PATCH", "PUT"):
        async with caller.session.request(
            method, caller.url("/control/celcom"), data=body
        ) as answer:
            assert answer.status == 400
            assert (await answer.json(content_type=None))["code"] == "invalid_controls"

    assert await caller.control("GET", "") == before


async def test_a_change_is_refused_when_the_aggregator_is_unknown(caller: Caller):
    async with caller.session.patch(caller.url("/control/nobody"), json={}) as answer:
        assert answer.status == 404
        assert "africastalking, celcom, sandbox" in await answer.text()


async def test_an_outage_by_refusal_cuts_the_connection_and_takes_nothing(caller: Caller):
    await caller.switch("celcom", outage="refuse")

    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.celcom(NUMBER)

    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


async def test_an_outage_by_hanging_answers_nothing_and_takes_nothing(caller: Caller):
    await caller.switch("celcom", outage="hang")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.celcom(NUMBER), 0.2)

    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


async def test_an_outage_by_error_answers_500_on_one_aggregator_only(caller: Caller):
    await caller.switch("africastalking", outage="http_500")

    async with caller.post_form(NUMBER) as answer:
        assert answer.status == 500

    assert await codes_of(caller, 1) == [200]
    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 1


async def test_an_outage_ends_when_its_switch_is_put_back(caller: Caller):
    await caller.switch("celcom", outage="http_500")

    await caller.switch("celcom", outage="none")

    assert await codes_of(caller, 1) == [200]


async def test_latency_makes_a_hurried_client_give_up(caller: Caller):
    await caller.switch("celcom", latency_ms=60_000)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.celcom(NUMBER), 0.1)

    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


async def test_latency_with_jitter_still_answers(caller: Caller):
    await caller.switch("celcom", latency_ms=1, latency_jitter_ms=2)

    assert await codes_of(caller, 2) == [200, 200]


async def test_errors_come_in_the_same_order_when_the_seed_is_the_same(caller: Caller):
    runs = []
    for seed in (7, 7, 8):
        await caller.switch("celcom", error_rate=0.5, seed=seed)
        runs.append(await codes_of(caller, 20))

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert set(runs[0]) == {200, 1005}


async def test_an_error_answers_500_in_the_other_format_and_takes_nothing(caller: Caller):
    await caller.switch("africastalking", error_rate=1)

    async with caller.post_form(NUMBER) as answer:
        assert answer.status == 500

    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 0


async def test_throttling_answers_429_once_the_second_is_used_up(caller: Caller):
    await caller.switch("africastalking", throttle_per_second=1)

    async with caller.post_form(NUMBER) as first, caller.post_form(NUMBER) as second:
        assert (first.status, second.status) == (201, 429)
        assert second.headers["Retry-After"] == "1"

    assert (await caller.control("GET", "/handsets"))["messages_taken"] == 1


async def test_a_lost_answer_is_taken_and_reported_all_the_same(caller: Caller, intake: Intake):
    await caller.switch("celcom", answer_lost_rate=1)

    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.celcom(NUMBER)

    assert await intake.next_status() == "DeliveredToTerminal"
    assert (await caller.control("GET", f"/handsets/{NUMBER}"))["count"] == 1


async def test_a_dropped_report_is_known_to_getdlr_only(caller: Caller, intake: Intake):
    await caller.switch("celcom", drop_reports_rate=1)

    row = await caller.send_celcom(NUMBER)

    state = await caller.wait_for_state(lambda state: state["reports_pending"] == 0)
    assert state["aggregators"]["celcom"]["reports"] == {"suppressed": 1}
    report = await caller.report_of(row["messageid"])
    assert report["delivery-description"] == "DeliveredToTerminal"
    assert intake.received.empty()


async def test_a_duplicated_report_comes_twice(
    caller: Caller, intake: Intake, expect_quiet: ExpectQuiet
):
    await caller.switch("celcom", duplicate_reports_rate=1)

    await caller.send_celcom(NUMBER)

    assert await intake.next_report() == await intake.next_report()
    await caller.switch("celcom", duplicate_reports_rate=0)
    await expect_quiet()


async def test_a_report_waits_for_its_delay(caller: Caller, intake: Intake):
    await caller.switch("celcom", report_delay_ms=3_600_000)
    await caller.send_celcom(NUMBER)

    await caller.send_africas_talking(NUMBER)

    assert await intake.next_status() == "Success"
    state = await caller.wait_for_state(lambda state: state["reports_pending"] == 1)
    assert state["aggregators"]["celcom"]["reports"] == {}


async def test_reset_puts_everything_back_and_repeats_no_reference(caller: Caller):
    before = await caller.send_celcom(NUMBER)
    await caller.switch("celcom", report_delay_ms=3_600_000)
    await caller.send_celcom(NUMBER)

    state = await caller.control("POST", "/reset")

    assert state["reports_pending"] == 0
    assert state["handsets"]["messages_taken"] == state["handsets"]["handsets"] == 0
    assert state["aggregators"]["celcom"]["submissions"] == {}
    assert state["aggregators"]["celcom"]["controls"]["report_delay_ms"] == 0
    assert (await caller.report_of(before["messageid"]))["response-code"] == 1008
    after = await caller.send_celcom(NUMBER)
    assert after["messageid"] > before["messageid"]
