"""What goes wrong on the way to a provider, and what is certain about it."""

import asyncio
import gzip
import socket
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import aiohttp
import aiohttp.abc
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from semalink.application.ports import (
    Aggregator,
    FailureClass,
    OutcomeUnknown,
    SendFailed,
    Submission,
)
from semalink.domain.ids import MessageId
from semalink_adapters.aggregators.celcom import Celcom, CelcomSettings
from semalink_adapters.aggregators.exchange import ANSWER_BYTES_MAX, Timeouts, new_session

MESSAGE_ID = MessageId(UUID("01890a5d-ac96-774b-bcce-b302099a8057"))
SUBMISSION = Submission(MESSAGE_ID, "+254712345678", "Habari & karibu, Ĩtĩkĩra", "SEMALINK")
SEND = {"celcom": "sendsms", "africas_talking": "messaging"}
ACCEPTED = {
    "celcom": "celcom/send_accepted_misspelt",
    "africas_talking": "africas_talking/send_accepted_101",
}
KEYS = ("k3y-0f-c3lcom", "k3y-0f-africa")

both = pytest.mark.parametrize("kind", ["celcom", "africas_talking"])


@both
@pytest.mark.parametrize(
    ("status", "failure", "may_fail_over"),
    [
        (301, FailureClass.CONFIGURATION, True),
        (308, FailureClass.CONFIGURATION, True),
        (400, FailureClass.BUG, False),
        (401, FailureClass.CONFIGURATION, True),
        (403, FailureClass.CONFIGURATION, True),
        (404, FailureClass.CONFIGURATION, True),
        (408, FailureClass.TRANSIENT, True),
        (429, FailureClass.TRANSIENT, True),
        (500, FailureClass.TRANSIENT, True),
        (502, FailureClass.TRANSIENT, True),
        (503, FailureClass.TRANSIENT, True),
    ],
)
async def test_submit_refuses_by_http_status_when_the_body_says_nothing(
    kind: str,
    status: int,
    failure: FailureClass,
    may_fail_over: bool,  # noqa: FBT001
    provider: Any,
    build_adapter: Callable[..., Aggregator],
):
    provider.answer(
        SEND[kind], "<html>Sorry</html>", status=status, headers={"Location": provider.url}
    )

    with pytest.raises(SendFailed) as refusal:
        await build_adapter(kind).submit(SUBMISSION)

    assert refusal.value.failure is failure
    assert refusal.value.provider_code == f"HTTP {status}"
    assert refusal.value.retryable is (failure is FailureClass.TRANSIENT)
    assert refusal.value.may_fail_over is may_fail_over
    assert len(provider.requests) == 1


@both
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html><body>OK</body></html>"),
        (200, b""),
        (200, b"null"),
        (200, b"{}"),
        (200, b'"Success"'),
        (201, b"\xff\xfe\x00"),
        (200, b'{"responses":' * 50_000),
        (302, b""),
        (303, b""),
        (504, b"gateway time-out"),
        (524, b""),
    ],
)
async def test_submit_cannot_say_when_the_answer_is_unreadable(
    kind: str,
    status: int,
    body: bytes,
    provider: Any,
    build_adapter: Callable[..., Aggregator],
):
    provider.answer(SEND[kind], body, status=status, headers={"Location": provider.url})

    with pytest.raises(OutcomeUnknown):
        await build_adapter(kind).submit(SUBMISSION)

    assert len(provider.requests) == 1


@both
async def test_submit_cannot_say_when_no_answer_comes_in_time(
    kind: str, provider: Any, impatient: Timeouts, build_adapter: Callable[..., Aggregator]
):
    provider.is_answering.clear()

    with pytest.raises(OutcomeUnknown):
        await build_adapter(kind, timeouts=impatient).submit(SUBMISSION)

    assert len(provider.requests) == 1


@both
async def test_submit_cannot_say_when_the_connection_breaks_after_the_request(
    kind: str, provider: Any, build_adapter: Callable[..., Aggregator]
):
    provider.answer(SEND[kind], "never seen")
    provider.cuts_connections = True

    with pytest.raises(OutcomeUnknown):
        await build_adapter(kind).submit(SUBMISSION)

    assert len(provider.requests) == 1


@both
async def test_submit_cannot_say_when_the_answer_is_cut_short(
    kind: str, provider: Any, impatient: Timeouts, build_adapter: Callable[..., Aggregator]
):
    provider.answer(SEND[kind], b"{", headers={"Content-Length": "500"})

    with pytest.raises(OutcomeUnknown):
        await build_adapter(kind, timeouts=impatient).submit(SUBMISSION)

    assert len(provider.requests) == 1


@both
@pytest.mark.parametrize("is_compressed", [True, False])
async def test_submit_reads_no_more_than_the_cap(
    kind: str,
    is_compressed: bool,  # noqa: FBT001
    provider: Any,
    build_adapter: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    readable = recording(f"{ACCEPTED[kind]}.json") + b" " * (4 * ANSWER_BYTES_MAX)
    body = gzip.compress(readable) if is_compressed else readable
    headers = {"Content-Encoding": "gzip"} if is_compressed else {}
    provider.answer(SEND[kind], body, headers=headers)

    with pytest.raises(OutcomeUnknown):
        await build_adapter(kind).submit(SUBMISSION)


@both
@pytest.mark.parametrize("fault", ["refused", "no such host"])
async def test_submit_may_fail_over_when_the_provider_is_not_reached(
    kind: str, fault: str, closed_url: str, build_adapter: Callable[..., Aggregator]
):
    url = closed_url if fault == "refused" else "http://aggregator.invalid"

    with pytest.raises(SendFailed) as refusal:
        await build_adapter(kind, base_url=url).submit(SUBMISSION)

    assert refusal.value.failure is FailureClass.TRANSIENT
    assert refusal.value.provider_code == "unreachable"
    assert refusal.value.retryable
    assert refusal.value.may_fail_over


class Resolver(aiohttp.abc.AbstractResolver):
    """Fails so many times before it finds the loopback address; or never answers."""

    def __init__(self, *, failures: int, is_silent: bool = False) -> None:
        self.asked = 0
        self._failures = failures
        self._answers = asyncio.Event()
        if not is_silent:
            self._answers.set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        self.asked += 1
        await self._answers.wait()
        if self.asked <= self._failures:
            raise OSError(None, "no such host")
        found = aiohttp.abc.ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
        )
        return [found]

    async def close(self) -> None:
        return None


def settings_by_name(provider: Any, timeouts: Timeouts | None = None) -> CelcomSettings:
    return CelcomSettings(
        partner_id="4455",
        api_key=KEYS[0],
        base_url=provider.url.replace("127.0.0.1", "aggregator.invalid"),
        timeouts=timeouts or Timeouts(),
        connect_retry_seconds=0,
    )


async def test_submit_tries_to_connect_once_more(provider: Any, recording: Callable[[str], bytes]):
    provider.answer("sendsms", recording("celcom/send_accepted_misspelt.json"))
    resolver = Resolver(failures=1)
    connector = aiohttp.TCPConnector(resolver=resolver)

    async with aiohttp.ClientSession(connector=connector) as session:
        receipt = await Celcom(settings_by_name(provider), session).submit(SUBMISSION)

    assert receipt.reference == "8290842"
    assert resolver.asked == 2
    assert len(provider.requests) == 1


async def test_submit_gives_up_connecting_after_two_tries(provider: Any):
    resolver = Resolver(failures=9)
    connector = aiohttp.TCPConnector(resolver=resolver)

    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(SendFailed) as refusal:
            await Celcom(settings_by_name(provider), session).submit(SUBMISSION)

    assert refusal.value.provider_code == "unreachable"
    assert resolver.asked == 2
    assert provider.requests == []


async def test_submit_may_fail_over_when_connecting_takes_too_long(provider: Any):
    connector = aiohttp.TCPConnector(resolver=Resolver(failures=0, is_silent=True))
    settings = settings_by_name(provider, Timeouts(connect_seconds=0.02))

    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(SendFailed) as refusal:
            await Celcom(settings, session).submit(SUBMISSION)

    assert refusal.value.provider_code == "unreachable"
    assert provider.requests == []


@both
async def test_submit_may_fail_over_when_the_session_is_closed(
    kind: str, session: Any, provider: Any, build_adapter: Callable[..., Aggregator]
):
    adapter = build_adapter(kind)
    await session.close()

    with pytest.raises(SendFailed) as refusal:
        await adapter.submit(SUBMISSION)

    assert refusal.value.provider_code == "unreachable"
    assert provider.requests == []


@both
@pytest.mark.parametrize("fault", ["refused", "401", "cut", "unreadable"])
async def test_submit_keeps_key_number_and_text_out_of_errors_and_logs(
    kind: str,
    fault: str,
    closed_url: str,
    provider: Any,
    build_adapter: Callable[..., Aggregator],
):
    echo = f"{KEYS} {SUBMISSION.to} {SUBMISSION.text}"
    provider.answer(SEND[kind], echo, status=401 if fault == "401" else 200)
    provider.cuts_connections = fault == "cut"
    changes = {"base_url": closed_url} if fault == "refused" else {}

    with capture_logs() as logs, pytest.raises((SendFailed, OutcomeUnknown)) as raised:
        await build_adapter(kind, **changes).submit(SUBMISSION)

    said = "".join(traceback.format_exception(raised.value)) + repr(logs)
    assert not [word for word in (*KEYS, "254712345678", "karibu") if word in said]


async def test_submit_sends_celcom_what_its_page_asks_for(
    provider: Any, celcom: Callable[..., Aggregator], recording: Callable[[str], bytes]
):
    provider.answer("sendsms", recording("celcom/send_accepted_misspelt.json"))

    await celcom().submit(SUBMISSION)

    (request,) = provider.requests
    assert (request.method, request.path, request.query) == ("POST", "/api/services/sendsms", "")
    assert request.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(request.body) == {
        "partnerID": "4455",
        "apikey": "k3y-0f-c3lcom",
        "clientsmsid": MESSAGE_ID.hex,
        "mobile": "254712345678",
        "message": SUBMISSION.text,
        "shortcode": "SEMALINK",
        "pass_type": "plain",
    }


async def test_submit_ends_paths_in_a_slash_when_asked_to(
    provider: Any, celcom: Callable[..., Aggregator], recording: Callable[[str], bytes]
):
    provider.answer("sendsms", recording("celcom/send_accepted_misspelt.json"))

    await celcom(trailing_slash=True).submit(SUBMISSION)

    assert provider.requests[0].path == "/api/services/sendsms/"


@pytest.mark.parametrize(("enqueue", "sent"), [(True, "1"), (False, "0")])
async def test_submit_sends_africas_talking_a_form(
    enqueue: bool,  # noqa: FBT001
    sent: str,
    provider: Any,
    africas_talking: Callable[..., Aggregator],
    recording: Callable[[str], bytes],
):
    provider.answer("messaging", recording("africas_talking/send_accepted_101.json"), status=201)

    await africas_talking(enqueue=enqueue).submit(SUBMISSION)

    (request,) = provider.requests
    assert (request.method, request.path, request.query) == ("POST", "/version1/messaging", "")
    assert request.headers["apiKey"] == "k3y-0f-africa"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept"] == "application/json"
    assert dict(parse_qsl(request.body.decode())) == {
        "username": "semalink",
        "to": "+254712345678",
        "message": SUBMISSION.text,
        "from": "SEMALINK",
        "bulkSMSMode": "1",
        "enqueue": sent,
    }


async def test_submit_sends_no_cookie_back(
    provider: Any, celcom: Callable[..., Aggregator], recording: Callable[[str], bytes]
):
    answer = recording("celcom/send_accepted_misspelt.json")
    provider.answers["sendsms"] = lambda _: web.Response(
        body=answer, headers={"Set-Cookie": "session=1"}
    )
    # Cookies of a bare address would be dropped anyway.
    adapter = celcom(base_url=provider.url.replace("127.0.0.1", "localhost"))

    await adapter.submit(SUBMISSION)
    await adapter.submit(SUBMISSION)

    assert "Cookie" not in provider.requests[1].headers


async def test_new_session_ignores_the_environment_and_bounds_connections():
    async with new_session(limit_per_host=7) as session:
        connector = session.connector

        assert connector is not None
        assert connector.limit_per_host == 7
        assert not session.trust_env
        assert (session.timeout.connect, session.timeout.sock_read, session.timeout.total) == (
            3.0,
            10.0,
            15.0,
        )
