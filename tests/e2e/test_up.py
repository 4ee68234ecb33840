import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tenacity import (
    AsyncRetrying,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

HANDSET = "+254711000001"
WAIT_SECONDS = 30.0
#: What a message to that handset costs by the rate card.
PRICE_MICROS = 800_000
TOPPED_UP_MICROS = 1_000_000_000


@pytest.fixture
async def api(platform: dict[str, Any]) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {platform['api_key']}"}
    async with aiohttp.ClientSession(platform["api_url"], headers=headers) as session:
        yield session


async def fetch(api: aiohttp.ClientSession, path: str) -> Any:
    async with api.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def fetch_final(api: aiohttp.ClientSession, message_id: str) -> Any:
    asking = AsyncRetrying(
        retry=retry_if_result(lambda message: message["status"] in {"accepted", "submitted"}),
        stop=stop_after_delay(WAIT_SECONDS),
        wait=wait_fixed(0.05),
    )
    return await asking(fetch, api, f"/v1/messages/{message_id}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_message_is_delivered_and_charged(
    platform: dict[str, Any], api: aiohttp.ClientSession
) -> None:
    before = await fetch(api, "/v1/balance")
    body = {"to": HANDSET, "text": "Habari!", "sender": platform["sender"], "lane": "priority"}

    async with api.post("/v1/messages", json=body) as response:
        accepted = await response.json()
    message = await fetch_final(api, accepted["id"])

    after = await fetch(api, "/v1/balance")
    assert response.status == 202
    assert (accepted["status"], message["status"]) == ("accepted", "delivered")
    assert message["charged_micros"] == PRICE_MICROS
    assert after["posted_micros"] == before["posted_micros"] - PRICE_MICROS
    assert after["reserved_micros"] == before["reserved_micros"]


def test_send_shows_every_step_of_a_delivered_message(data_dir: Path, semalink: Any) -> None:
    sent = semalink(
        "send", "--to", HANDSET, "--text", "Habari!", "--wait", "--json", data_dir=data_dir
    )

    assert sent.returncode == 0, sent.stderr
    answer = json.loads(sent.stdout)
    assert answer["message"]["status"] == "delivered"
    assert [step["name"] for step in answer["events"]] == [
        "message.accepted",
        "credit.reserved",
        "message.submit_started",
        "message.submitted",
        "credit.charged",
        "message.delivered",
    ]


def test_send_fails_when_the_message_does(data_dir: Path, semalink: Any) -> None:
    absent = "+254700000102"

    sent = semalink("send", "--to", absent, "--text", "a", "--wait", "--json", data_dir=data_dir)

    assert sent.returncode == 1
    message = json.loads(sent.stdout)["message"]
    assert (message["status"], message["failure"]["code"]) == ("failed", "absent_subscriber")


def test_send_with_the_test_key_costs_nothing(data_dir: Path, semalink: Any) -> None:
    sent = semalink(
        "send", "--to", HANDSET, "--text", "a", "--test", "--wait", "--json", data_dir=data_dir
    )

    assert sent.returncode == 0, sent.stderr
    message = json.loads(sent.stdout)["message"]
    assert (message["mode"], message["charged_micros"]) == ("test", 0)
    assert message["route"]["aggregator"] == "sandbox"


def test_history_shows_what_the_api_shows_and_what_the_provider_asks(
    data_dir: Path, semalink: Any
) -> None:
    sent = semalink("send", "--to", HANDSET, "--text", "a", "--wait", "--json", data_dir=data_dir)
    answer = json.loads(sent.stdout)

    shown = semalink("history", answer["message"]["id"], "--json", data_dir=data_dir)

    assert shown.returncode == 0, shown.stderr
    items = json.loads(shown.stdout)["items"]
    costs = [item["data"].pop("cost") for item in items if "cost" in item["data"]]
    assert len(costs) == 1
    assert items == answer["events"]


def test_doctor_finds_nothing_wrong(data_dir: Path, semalink: Any) -> None:
    looked = semalink("doctor", "--json", data_dir=data_dir)

    assert looked.returncode == 0, looked.stdout
    findings = json.loads(looked.stdout)["findings"]
    assert {one["part"] for one in findings} == {"settings", "database", "broker"}


async def test_every_process_is_ready_and_measured(platform: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as session:

        async def status_of(url: str) -> int:
            async with session.get(url) as response:
                return response.status

        # A check that misses its second on a busy machine is made again, as a supervisor does.
        asking = AsyncRetrying(
            retry=retry_if_result(lambda status: status != 200),
            wait=wait_fixed(0.2),
            stop=stop_after_delay(20),
        )
        for url in (*platform["ready_urls"].values(), *platform["metrics_urls"].values()):
            assert await asking.copy()(status_of, url) == 200

    assert set(platform["ready_urls"]) | {"postgresql", "nats"} == set(platform["pids"])


async def test_admin_key_opens_the_admin_api_and_no_other(platform: dict[str, Any]) -> None:
    path = f"/admin/v1/accounts/{platform['account_id']}"
    async with aiohttp.ClientSession(platform["admin_url"]) as session:
        statuses = []
        for key in (platform["admin_key"], platform["api_key"]):
            headers = {"Authorization": f"Bearer {key}"}
            async with session.get(path, headers=headers) as response:
                statuses.append(response.status)

    assert statuses == [200, 403]


def test_what_it_writes_is_private(data_dir: Path) -> None:
    private = ("quickstart.json", "settings.env", "demo.json", "secrets/key_pepper")

    modes = {name: (data_dir / name).stat().st_mode & 0o077 for name in private}

    assert set(modes.values()) == {0}


def test_second_up_on_the_same_folder_is_refused(data_dir: Path, semalink: Any) -> None:
    refused = semalink("up", "--port", "0", data_dir=data_dir)

    assert refused.returncode == 1
    assert "Another `semalink up`" in refused.stderr


@pytest.mark.parametrize("name", ["worker-sms", "nats"])
def test_process_that_is_killed_is_started_again(name: str, running: Any, semalink: Any) -> None:
    killed = running.quickstart()["pids"][name]
    os.kill(killed, signal.SIGKILL)

    replaced = Retrying(
        retry=retry_if_result(lambda pid: pid == killed) | retry_if_exception_type(KeyError),
        stop=stop_after_delay(WAIT_SECONDS),
        wait=wait_fixed(0.05),
    )(lambda: running.quickstart()["pids"][name])

    sent = semalink("send", "--to", HANDSET, "--text", "a", "--wait", data_dir=running.data_dir)
    assert is_alive(replaced)
    assert sent.returncode == 0, sent.stderr


def test_interrupted_up_goes_on_where_it_stopped(
    own_data_dir: Path, running_platform: Any, semalink: Any
) -> None:
    with running_platform(own_data_dir) as first:
        before = first.quickstart()
        sent = semalink(
            "send", "--to", HANDSET, "--text", "a", "--wait", "--json", data_dir=own_data_dir
        )
        first_status = first.interrupt()
    message_id = json.loads(sent.stdout)["message"]["id"]
    left = [name for name, pid in before["pids"].items() if is_alive(pid)]
    announces_nothing = not (own_data_dir / "quickstart.json").exists()
    away = semalink("history", message_id, data_dir=own_data_dir)

    with running_platform(own_data_dir, "--workers", "2") as second:
        after = second.quickstart()
        shown = semalink("history", message_id, "--json", data_dir=own_data_dir)
        account = semalink("account", "show", after["account_id"], "--json", data_dir=own_data_dir)
        again = semalink("send", "--to", HANDSET, "--text", "a", "--wait", data_dir=own_data_dir)
        second_status = second.interrupt()

    assert (first_status, second_status) == (0, 0)
    assert left == []
    assert announces_nothing
    assert away.returncode == 7
    for name in ("account_id", "api_key", "test_api_key", "admin_key"):
        assert after[name] == before[name]
    assert {"api-2", "worker-sms-2"} <= set(after["pids"])
    assert json.loads(shown.stdout)["items"][-1]["name"] == "message.delivered"
    balance = json.loads(account.stdout)["balance"]
    assert balance["available_micros"] == TOPPED_UP_MICROS - PRICE_MICROS
    assert again.returncode == 0, again.stderr


def test_killed_up_leaves_no_process(own_data_dir: Path, running_platform: Any) -> None:
    with running_platform(own_data_dir) as platform:
        pids = platform.quickstart()["pids"].values()
        platform.process.kill()
        platform.process.wait()

        Retrying(
            retry=retry_if_result(bool), stop=stop_after_delay(WAIT_SECONDS), wait=wait_fixed(0.05)
        )(lambda: [pid for pid in pids if is_alive(pid)])
