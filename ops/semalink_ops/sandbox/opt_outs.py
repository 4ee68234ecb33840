"""A subscriber who stops a sender id: the callback that the aggregator makes of it."""

from typing import Annotated
from urllib.parse import urlencode

import aiohttp
import msgspec

from semalink_ops.sandbox.settings import SandboxSettings

_FORM = "application/x-www-form-urlencoded"


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who stops which sender id at which aggregator."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    sender: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    aggregator: str = "africastalking"


async def call_back(settings: SandboxSettings, stop: Stop) -> int | None:
    """Post the callback, once, and return the intake's status; None when it cannot be reached."""
    [secret] = {
        one.secret for one in settings.credentials.values() if one.aggregator == stop.aggregator
    }
    url = f"{settings.dlr_url}/opt-out/{stop.aggregator}/{secret}"
    form = urlencode({"senderId": stop.sender, "phoneNumber": stop.number})
    timeout = aiohttp.ClientTimeout(total=settings.report_timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.post(
                url, data=form, headers={"Content-Type": _FORM}, allow_redirects=False
            ) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
