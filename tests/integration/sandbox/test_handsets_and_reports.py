"""What the handsets received, what happens to reports, health, and the end of the process."""

import asyncio
from typing import Any

import aiohttp
import pytest
import uvloop
from tests.integration.sandbox.conftest import (
    CREDENTIALS,
    WAIT_SECONDS,
    Caller,
    Intake,
    StartSandbox,
)

from semalink_ops.sandbox import SandboxSettings, serve

NUMBER = "+254711000001"


async def test_a_handset_counts_each_message_by_client_id_and_by_text(caller: Caller):
    await caller.celcom(NUMBER, client_id="m1", text="Habari")
    await caller.celcom(NUMBER, client_id="m1", text="Habari")
    await caller.africas_talking(NUMBER, message="Habari")
    await caller.celcom("+254711000002", client_id="m1", text="Habari")

    received = await caller.control("GET", f"/handsets/{NUMBER}")

    assert received["count"] == 3
    assert received["count_by_client_id"] == {"m1": 2}
    assert received["count_by_text"] == {"Habari": 3}
    assert [item["aggregator"] for item in received["items"]] == [
        "celcom",
        "celcom",
        "africastalking",
    ]
    assert [item["text_count"] for item in received["items"]] == [1, 2, 3]


async def test_the_summary_counts_what_a_handset_got_again(caller: Caller):
    await caller.celcom(NUMBER, client_id="m1", text="one")
    await caller.celcom(NUMBER, client_id="m1", text="two")
    await caller.africas_talking(NUMBER, message="one")

    summary = await caller.control("GET", "/handsets")

    assert summary["handsets"] == 1
    assert summary["messages_taken"] == summary["messages_held"] == 3
    assert summary["duplicates"] == 1
    assert summary["text_duplicates"] == 1


async def test_deliveries_are_paged_without_a_gap(caller: Caller):
    for name in ("a", "b", "c"):
        await caller.celcom(NUMBER, client_id=name, text=name)

    first = await caller.control("GET", "/deliveries?since=0&limit=2")
    second = await caller.control("GET", f"/deliveries?since={first['next_since']}&limit=2")
    third = await caller.control("GET", f"/deliveries?since={second['next_since']}&limit=2")

    assert [item["client_id"] for item in first["items"]] == ["a", "b"]
    assert [item["client_id"] for item in second["items"]] == ["c"]
    assert third["items"] == []
    assert third["next_since"] == second["next_since"] == 3


async def test_deliveries_list_only_repeats_when_asked(caller: Caller):
    await caller.celcom(NUMBER, client_id="a", text="one")
    await caller.celcom(NUMBER, client_id="a", text="two")
    await caller.celcom(NUMBER, client_id="b", text="three")

    repeats = await caller.control("GET", "/deliveries?repeats=true")

    assert [(item["client_id"], item["count"]) for item in repeats["items"]] == [("a", 2)]


@pytest.mark.parametrize("query", ["since=x", "limit=0", "since=-1"])
async def test_deliveries_are_refused_when_the_query_is_not_of_numbers(caller: Caller, query: str):
    async with caller.session.get(caller.url(f"/control/deliveries?{query}")) as answer:
        assert answer.status == 400


async def test_handsets_forget_the_oldest_message_when_the_ring_is_full(
    start_sandbox: StartSandbox,
):
    async with start_sandbox(messages_max=2) as caller:
        for name in ("a", "b", "c"):
            await caller.celcom(NUMBER, client_id=name, text=name)

        received = await caller.control("GET", f"/handsets/{NUMBER}")
        deliveries = await caller.control("GET", "/deliveries?since=0")

        assert [item["client_id"] for item in received["items"]] == ["b", "c"]
        assert deliveries["first_sequence"] == 2
        assert (await caller.control("GET", "/handsets"))["messages_taken"] == 3


async def test_a_report_is_pushed_again_until_the_intake_takes_it(caller: Caller, intake: Intake):
    intake.answers.extend([503, 302])

    await caller.celcom(NUMBER)

    reports = [await intake.next_report() for _ in range(3)]
    assert reports[0] == reports[1] == reports[2]
    state = await caller.wait_for_state(lambda state: state["reports_pending"] == 0)
    assert state["aggregators"]["celcom"]["reports"] == {"retried": 2, "pushed": 1}


async def test_a_report_is_pushed_after_the_intake_was_away(
    start_sandbox: StartSandbox, unused_tcp_port: int
):
    async with start_sandbox(dlr_url=f"http://127.0.0.1:{unused_tcp_port}") as caller:
        await caller.celcom(NUMBER)

        state = await caller.wait_for_state(
            lambda state: state["aggregators"]["celcom"]["reports"].get("retried", 0) >= 2
        )

        assert state["reports_pending"] == 1


async def test_a_report_and_its_follower_are_lost_when_the_limit_is_over(
    start_sandbox: StartSandbox, intake: Intake
):
    intake.answers.append(503)
    async with start_sandbox(report_retry_limit_seconds=0) as caller:
        await caller.celcom("+254700000107")

        state = await caller.wait_for_state(lambda state: state["reports_pending"] == 0)

        assert state["aggregators"]["celcom"]["reports"] == {"lost": 2}


async def test_a_report_is_lost_when_too_many_wait(start_sandbox: StartSandbox):
    async with start_sandbox(reports_pending_max=1) as caller:
        await caller.switch("celcom", report_delay_ms=3_600_000)

        await caller.celcom("0711000001,0711000002")

        state = await caller.control("GET", "")
        assert state["reports_pending"] == 1
        assert state["aggregators"]["celcom"]["reports"] == {"lost": 1}


async def test_health_and_metrics_answer_without_credentials(caller: Caller, intake: Intake):
    await caller.celcom(NUMBER)
    await intake.next_report()
    await caller.wait_for_state(lambda state: state["reports_pending"] == 0)

    pages = []
    for path in ("/health/live", "/health/ready", "/metrics"):
        async with caller.session.get(caller.url(path)) as answer:
            assert answer.status == 200
            pages.append(await answer.text())

    taken = 'semalink_sandbox_submissions_total{aggregator="celcom",outcome="taken"} 1.0'
    pushed = 'semalink_sandbox_reports_total{aggregator="celcom",outcome="pushed"} 1.0'
    assert taken in pages[2]
    assert pushed in pages[2]
    assert NUMBER.removeprefix("+") not in pages[2]


async def test_serve_ends_silent_connections_and_waiting_reports_when_cancelled(intake: Intake):
    ports: asyncio.Queue[int] = asyncio.Queue()
    settings = SandboxSettings(dlr_url=intake.url, credentials=CREDENTIALS)
    server = asyncio.create_task(
        serve(settings, host="127.0.0.1", port=0, on_started=ports.put_nowait)
    )
    async with aiohttp.ClientSession() as session:
        caller = Caller(session, await asyncio.wait_for(ports.get(), WAIT_SECONDS))
        await caller.switch("celcom", report_delay_ms=3_600_000)
        await caller.celcom(NUMBER)
        silent = asyncio.create_task(caller.celcom("+254700000110"))
        await caller.wait_for_state(lambda state: state["handsets"]["messages_taken"] == 2)

        server.cancel()

        ended: list[Any] = await asyncio.wait_for(
            asyncio.gather(server, silent, return_exceptions=True), WAIT_SECONDS
        )

    assert isinstance(ended[0], asyncio.CancelledError)
    assert isinstance(ended[1], aiohttp.ClientConnectionError)
    assert intake.received.empty()


def test_reports_are_pushed_on_the_event_loop_of_production():
    async def send_and_count() -> None:
        intake = Intake()
        async with intake.running(), Caller.of_sandbox(dlr_url=intake.url) as caller:
            # The delays differ, so that the timer is set anew, ahead of time and at once.
            for delay_ms in (20, 0, 10, 0):
                await caller.switch("celcom", report_delay_ms=delay_ms)
                await caller.celcom(NUMBER)

            for _ in range(4):
                assert await intake.next_status() == "DeliveredToTerminal"

    uvloop.run(send_and_count())
