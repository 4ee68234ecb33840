"""Reading a body: no longer than allowed, of the right type, and every fault of it at once."""

from typing import Any, TypeVar

import msgspec
from litestar import Request

from semalink.web.arrival import arrival_of
from semalink.web.field_check import find_problems
from semalink.web.problems import EdgeRefusal

T = TypeVar("T")

JSON_BYTES_MAX = 256 * 1024

_JSON = b"application/json"


async def read_json(
    request: Request[Any, Any, Any],
    decoder: msgspec.json.Decoder[T],
    *,
    bytes_max: int = JSON_BYTES_MAX,
) -> T:
    """Return the body decoded; raises EdgeRefusal, which names all fields at fault."""
    headers = arrival_of(request.scope).headers
    content_type = headers.get(b"content-type", b"")
    if content_type != _JSON and not _is_json(content_type):
        raise EdgeRefusal("unsupported_media_type", "The Content-Type is not application/json.")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise EdgeRefusal("unsupported_media_type", "The body has a Content-Encoding.")
    body = await read_body(request, bytes_max)
    try:
        return _decode(body, decoder)
    except msgspec.DecodeError as error:
        raise EdgeRefusal("malformed_json", f"{error}.") from None
    except RecursionError:
        raise EdgeRefusal("malformed_json", "The body is nested too deeply.") from None


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        problems = find_problems(msgspec.json.decode(body), decoder.type)
    assert problems, "what the decoder refuses is found again"
    detail = f"{len(problems)} of the fields are not valid."
    raise EdgeRefusal("validation_failed", detail, errors=problems)


async def read_body(request: Request[Any, Any, Any], bytes_max: int) -> bytes:
    """Return the body; raises EdgeRefusal when it is too long or breaks off."""
    declared = arrival_of(request.scope).headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > bytes_max:
        raise _too_large(bytes_max)
    parts: list[bytes] = []
    length = 0
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            raise EdgeRefusal("incomplete_body", "The client went away within the body.")
        length += len(event["body"])
        if length > bytes_max:
            raise _too_large(bytes_max)
        parts.append(event["body"])
        if not event.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == _JSON


def _too_large(bytes_max: int) -> EdgeRefusal:
    return EdgeRefusal("body_too_large", f"The body has more than {bytes_max} bytes.")
