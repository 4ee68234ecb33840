"""The command `send`: one message through the API, and its way if asked for."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import rich_click as click

from semalink.domain.money import format_credits
from semalink.domain.status import FINAL_STATUSES, Status
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import CommandFailed, end_with, fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.cli.timeline import show_timeline
from semalink_ops.up.own_files import QUICKSTART_FILE

API_URL = "SEMALINK_API_URL"
API_KEY = "SEMALINK_API_KEY"

_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.2
_EXIT_CODES = {
    401: exit_codes.NOT_ALLOWED,
    403: exit_codes.NOT_ALLOWED,
    404: exit_codes.NOT_FOUND,
    409: exit_codes.CONFLICT,
    429: exit_codes.UNAVAILABLE,
    502: exit_codes.UNAVAILABLE,
    503: exit_codes.UNAVAILABLE,
    504: exit_codes.UNAVAILABLE,
}
_REUSED = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class _Access:
    url: str
    key: str = field(repr=False)
    #: What a message is sent under when nobody says.
    sender: str | None


@click.command("send", epilog="Example: semalink send --to +254711000001 --text Habari --wait")
@click.option("--to", required=True, help="The mobile number, best in E.164.")
@click.option("--text", required=True, help="What the handset shows; - reads it from stdin.")
@click.option("--sender", help="An approved sender id; that of the quick start unless given.")
@click.option(
    "--lane",
    type=click.Choice(["priority", "normal"]),
    default="normal",
    show_default=True,
    help="Priority is for what cannot wait, such as one-time passwords.",
)
@click.option("--ttl-seconds", type=int, help="How long the message is worth sending.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Yours to keep with it.")
@click.option("--idempotency-key", help="The same key sends once, however often it is given.")
@click.option("--test", "is_test", is_flag=True, help="Use the test key of the quick start.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait for its end and show every step.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the end.",
)
@json_option
@data_dir_option
def send(  # noqa: PLR0913 - what the API takes, and how to wait
    *,
    to: str,
    text: str,
    sender: str | None,
    lane: str,
    ttl_seconds: int | None,
    metadata: tuple[str, ...],
    idempotency_key: str | None,
    is_test: bool,
    is_waiting: bool,
    timeout_seconds: float,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Send one message through the API.

    The address and the key come from SEMALINK_API_URL and SEMALINK_API_KEY, or from the
    quickstart.json of a running `semalink up`. With --wait the exit status is 0 when the message
    was delivered, 1 when it ended otherwise, and 7 when it had not ended in time.
    """
    access = _find_access(os.environ, data_dir / QUICKSTART_FILE, is_test=is_test)
    sender = sender or access.sender
    if sender is None:
        fail("Name a sender id with --sender.", exit_codes.USAGE)
    body: dict[str, Any] = {
        "to": to,
        "text": sys.stdin.read().rstrip("\n") if text == "-" else text,
        "sender": sender,
        "lane": lane,
    }
    if ttl_seconds is not None:
        body["ttl_seconds"] = ttl_seconds
    if metadata:
        body["metadata"] = _parse_metadata(metadata)
    wait_seconds = timeout_seconds if is_waiting else None
    asyncio.run(_send(access, body, idempotency_key or str(uuid4()), wait_seconds, as_json=as_json))


async def _send(
    access: _Access, body: Mapping[str, Any], key: str, wait_seconds: float | None, *, as_json: bool
) -> None:
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    headers = {"Authorization": f"Bearer {access.key}"}
    async with aiohttp.ClientSession(access.url, timeout=timeout, headers=headers) as session:
        message = await _call(
            session, "POST", "/v1/messages", json=body, headers={"Idempotency-Key": key}
        )
        if wait_seconds is None:
            _show_accepted(message, as_json=as_json)
            return
        path = f"/v1/messages/{message['id']}"
        is_in_time = True
        try:
            async with asyncio.timeout(wait_seconds):
                while message["status"] not in FINAL_STATUSES:
                    await asyncio.sleep(_POLL_SECONDS)
                    message = await _call(session, "GET", path)
        except TimeoutError:
            is_in_time = False
        events = await _call(session, "GET", f"{path}/events")
    _show_end(message, events["items"], as_json=as_json)
    if not is_in_time:
        say(f"It had not ended within {wait_seconds:g} seconds; semalink history {message['id']}")
        end_with(exit_codes.UNAVAILABLE)
    if message["status"] != Status.DELIVERED:
        end_with(exit_codes.FAILED)


async def _call(session: aiohttp.ClientSession, method: str, path: str, **kwargs: Any) -> Any:
    async with session.request(method, path, **kwargs) as response:
        content = await response.read()
        try:
            answer = msgspec.json.decode(content)
        except msgspec.DecodeError:
            fail(f"The API answered {response.status} without JSON.", exit_codes.UNAVAILABLE)
        if response.status >= 400:
            raise _refusal(response.status, answer)
    return answer


def _refusal(status: int, problem: Mapping[str, Any]) -> CommandFailed:
    said = str(problem.get("detail") or problem.get("title") or f"The API answered {status}.")
    fields = [one for one in problem.get("errors", []) if one.get("detail") != said]
    lines = [said, *(f"  {one.get('pointer')}: {one.get('detail')}" for one in fields)]
    lines.append(f"  ({problem.get('code')}, request {problem.get('request_id')})")
    exit_code = _EXIT_CODES.get(status, exit_codes.FAILED)
    if problem.get("code") == _REUSED:
        exit_code = exit_codes.CONFLICT
    return CommandFailed("\n".join(lines), exit_code)


def _show_accepted(message: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(message)
        return
    click.echo(message["id"])
    say(f"It is {message['status']}. Its way: semalink history {message['id']}")


def _show_end(message: Mapping[str, Any], events: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show_json({"message": message, "events": events})
        return
    facts = {
        "id": message["id"],
        "status": message["status"],
        "segments": message["segments"],
        "charged": format_credits(message["charged_micros"]),
        "refunded": format_credits(message["refunded_micros"]),
    }
    if message["failure"]:
        facts["failure"] = f"{message['failure']['code']}: {message['failure']['detail']}"
    show_facts(facts)
    click.echo()
    show_timeline(events)


def _find_access(environment: Mapping[str, str], quickstart: Path, *, is_test: bool) -> _Access:
    url, key = environment.get(API_URL), environment.get(API_KEY)
    if url and key:
        return _Access(url, key, None)
    if not quickstart.exists():
        fail(
            f"There is no API to send to: {API_URL} and {API_KEY} are not set, and {quickstart} "
            "does not exist. Start `semalink up` in this folder, name its folder with --data-dir, "
            "or set the variables.",
            exit_codes.USAGE,
        )
    known = msgspec.json.decode(quickstart.read_bytes(), type=dict[str, Any])
    return _Access(
        url or known["api_url"],
        key or known["test_api_key" if is_test else "api_key"],
        known["sender"],
    )


def _parse_metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(f"Write metadata as NAME=VALUE, not {pair!r}.", exit_codes.USAGE)
        parsed[name] = value
    return parsed
