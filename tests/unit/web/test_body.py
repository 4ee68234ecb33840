from typing import Any

import msgspec
import pytest

PATH = "/v1/messages"


async def test_send_refuses_other_content_type(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
        sent = {"Content-Type": "application/json", **bearer(acme.live), **headers}

        answer = await api.post(PATH, content=msgspec.json.encode(message), headers=sent)

        assert answer.status_code == 415
        assert answer.json()["code"] == "unsupported_media_type"


async def test_send_takes_content_type_with_charset(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8", **bearer(acme.live)}

    answer = await api.post(PATH, content=msgspec.json.encode(message), headers=headers)

    assert answer.status_code == 202


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"to": "\\ud800"}', b"[" * 100_000])
async def test_send_refuses_malformed_json(api: Any, acme: Any, bearer: Any, body: bytes) -> None:
    headers = {"Content-Type": "application/json", **bearer(acme.live)}

    answer = await api.post(PATH, content=body, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_json"


@pytest.fixture
def call(platform: Any) -> Any:
    """Call the application with a body that comes in parts, as servers hand it on."""
    application = platform.api()

    async def call(headers: dict[str, str], events: list[dict[str, Any]]) -> dict[str, Any]:
        sent: list[dict[str, Any]] = []
        coming = iter(events)

        async def receive() -> dict[str, Any]:
            return next(coming)

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "query_string": b"",
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        }
        await application(scope, receive, send)
        return {"status": sent[0]["status"], **msgspec.json.decode(sent[1]["body"])}

    return call


async def test_send_reads_body_in_parts(call: Any, acme: Any, bearer: Any, message: Any) -> None:
    body = msgspec.json.encode(message)
    headers = {"Content-Type": "application/json", **bearer(acme.live)}
    parts = [
        {"type": "http.request", "body": body[:10], "more_body": True},
        {"type": "http.request", "body": body[10:], "more_body": False},
    ]

    answer = await call(headers, parts)

    assert answer["status"] == "accepted"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([{"type": "http.request", "body": b" " * 2**18, "more_body": True}] * 2, "body_too_large"),
        ([{"type": "http.disconnect"}], "incomplete_body"),
    ],
)
async def test_send_refuses_body_that_does_not_end_well(
    call: Any, acme: Any, bearer: Any, events: Any, code: str
) -> None:
    headers = {"Content-Type": "application/json", **bearer(acme.live)}

    answer = await call(headers, events)

    assert answer["code"] == code


async def test_send_refuses_body_that_says_it_is_too_large(
    api: Any, acme: Any, bearer: Any
) -> None:
    headers = {"Content-Type": "application/json", **bearer(acme.live)}

    answer = await api.post(PATH, content=b" " * (256 * 1024 + 1), headers=headers)

    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def test_send_names_a_bounded_number_of_faults(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {**message, **{f"field {number}": 1 for number in range(1_000)}}

    answer = await api.post(PATH, json=asked, headers=bearer(acme.live))

    assert len(answer.json()["errors"]) == 100
