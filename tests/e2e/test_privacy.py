import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.chaos import auditor
from tests.chaos.customers import PRICE_MICROS, Reception, open_reception
from tests.chaos.platform import Platform
from tests.chaos.waiting import until

from semalink_ops.sandbox.magic_numbers import ACT_BY_ENDING

TEXT = "Nambari ya siri"
#: What is shorter is said by other tests too, and by our own help.
SHORT = 12
#: Without the digits of the country, and the zero that stands for them.
NATIONAL_DIGITS = 9

LEFT = """
SELECT (SELECT count(*) FROM pending_reports)
     + (SELECT count(*) FROM pending_submissions WHERE state = 'queued')"""


@pytest.fixture
async def reception(running: Any) -> AsyncIterator[Reception]:
    async with open_reception(Platform(running.process, running.data_dir)) as reception:
        yield reception


def secret_text() -> str:
    return f"{TEXT} {secrets.token_hex(8)}"


def secret_number() -> str:
    return f"+25471{secrets.randbelow(10_000_000):07d}"


def written(number: str) -> list[str]:
    """Return the ways in which a number is written."""
    digits = number.removeprefix("+")
    return [digits, "0" + digits[-NATIONAL_DIGITS:]]


async def has_worked_off(platform: Platform) -> bool:
    """Tell whether no message and no report is still to be looked at."""
    async with await psycopg.AsyncConnection.connect(
        platform.quickstart["database_url"]
    ) as connection:
        return await (await connection.execute(LEFT)).fetchone() == (0,)


def refused_bodies() -> list[dict[str, Any]]:
    """Return requests that are refused, each for another reason."""
    good = {"to": secret_number(), "text": secret_text(), "sender": "SEMALINK"}
    return [
        good,
        good | {"to": secret_number() + "99"},
        good | {"to": "+9991234567890"},
        good | {"sender": "NOT-MINE"},
        good | {"text": secret_text() * 60},
        good | {"text": secret_text(), "lane": "slow"},
        {"to": secret_number(), "text": secret_text()},
    ]


async def test_logs_and_metrics_name_no_number_no_text_and_no_key(reception: Reception) -> None:
    platform = reception.platform
    poor = await reception.open()
    rich = await reception.open(credit_micros=100 * PRICE_MICROS)
    told: list[str] = []
    for number, body in enumerate(refused_bodies()):
        reply = await poor.live.ask("POST", "/v1/messages", body, idempotency_key=str(number))
        assert reply.status in {400, 402, 422}, reply
        told += [*written(body["to"]), str(body["text"])]
    for ending in ACT_BY_ENDING:
        await rich.live.send("+255754000" + ending, secret_text())
    await report_nonsense(platform, told)
    await until(lambda: has_worked_off(platform), "all of it was worked off", within_seconds=20)

    quickstart = platform.quickstart
    evidence = await auditor.gather(quickstart["database_url"], quickstart["sandbox_url"])
    for story in auditor.examine(evidence).stories.values():
        told += [*written(story.to), story.text]
    private = {one for one in told if len(one) >= SHORT or one.isdecimal()}
    private |= {quickstart[name] for name in ("api_key", "test_api_key", "admin_key")}
    private |= {TEXT, *secrets_of(platform.data_dir)}
    pages = [
        *logs_of(platform.data_dir),
        *await metrics_of(quickstart["metrics_urls"]),
        ("the table of refusals", await refusals_in(quickstart["database_url"])),
    ]
    found = [f"{name} names {one!r}" for name, page in pages for one in private if one in page]
    assert found == []


async def report_nonsense(platform: Platform, told: list[str]) -> None:
    """Hand in reports that nobody can read and that name a number and a text."""
    number, text = secret_number(), secret_text()
    told += [*written(number), text]
    bodies = (f"phoneNumber={number}&status={text}", f'{{"mobile": "{number}", "message": "{text}')
    async with aiohttp.ClientSession(trust_env=False) as session:
        for aggregator in ("celcom", "africastalking"):
            path = platform.data_dir / "secrets" / f"{aggregator}_dlr_secret"
            for body in bodies:
                url = f"{platform.url('dlr')}/dlr/{aggregator}/{path.read_text()}"
                async with session.post(url, data=body) as response:
                    assert response.status == 200


async def refusals_in(database_url: str) -> str:
    """Return what auditors are told of refusals, which is as private as a log."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (await connection.execute("SELECT r::text FROM refusals AS r")).fetchall()
    assert rows, "something was refused"
    return "\n".join(row for (row,) in rows)


def secrets_of(data_dir: Path) -> Iterator[str]:
    for path in (data_dir / "secrets").iterdir():
        yield path.read_text()
    for server in ("postgres/password", "nats/token"):
        yield (data_dir / server).read_text()


def logs_of(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Return every log of every process, by its path."""
    logs = [*data_dir.rglob("*.log"), data_dir / "said.txt"]
    assert len(logs) > len(("postgresql.log", "nats.log", "said.txt"))
    for path in logs:
        yield str(path.relative_to(data_dir)), path.read_text(errors="replace")


async def metrics_of(urls: dict[str, str]) -> Iterable[tuple[str, str]]:
    """Return the metrics page of every process, by its name."""
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def page(name: str, url: str) -> tuple[str, str]:
            async with session.get(url) as response:
                assert response.status == 200
                return f"metrics of {name}", await response.text()

        return await asyncio.gather(*(page(name, url) for name, url in urls.items()))
