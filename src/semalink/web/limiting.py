"""Rate limits at the edge: whom to let in, and what the answer's headers say of it."""

from collections.abc import Callable

from semalink.application.rate_limiting import Standing
from semalink.domain.limit import NANOS, Limit
from semalink.web.arrival import Arrival
from semalink.web.dependencies import ApiDependencies, Limiter
from semalink.web.problems import EdgeRefusal, RateLimited

#: Headers of answers that a limit had a say in, and what they tell.
LIMIT_NOTES = {
    "RateLimit": (
        "What is left: r units now, which grow to the whole quota within t seconds. On a 429, t is "
        "when to try again."
    ),
    "RateLimit-Policy": (
        "The limit: q units at once, which w seconds fill again, so q / w a second for ever. The "
        "unit qu is messages, or else requests."
    ),
}
_UNITS = {"account": ';qu="messages"', "key": ';qu="messages"', "requests": ""}


async def admit_messages(deps: ApiDependencies, arrival: Arrival, count: int) -> None:
    """Let so many messages in; raises RateLimited, or EdgeRefusal when they never fit."""
    caller = arrival.caller
    burst = caller.limits.burst
    if count > burst:
        raise EdgeRefusal(
            "batch_over_burst",
            f"The batch has {count} messages; this key may send {burst} at once. Split it.",
        )
    _heed(arrival, await deps.limiter.admit(caller, count))


def admitting_requests(limiter: Limiter | None) -> Callable[[Arrival], None] | None:
    """Return what counts a request that sends nothing; it raises RateLimited."""
    if limiter is None:
        return None

    def admit(arrival: Arrival) -> None:
        _heed(arrival, limiter.admit_request(arrival.caller))

    return admit


def _heed(arrival: Arrival, standing: Standing | None) -> None:
    if standing is None:
        return
    limit = standing.limit
    retry_seconds = -(-standing.retry_nanos // NANOS)
    reset_seconds = retry_seconds or _refill_seconds(limit, limit.burst - standing.remaining)
    arrival.limit_headers = (
        (b"ratelimit-policy", _policy(standing.policy, limit)),
        (b"ratelimit", b'"%s";r=%d;t=%d' % (standing.policy.encode(), standing.remaining,
                                            reset_seconds)),
    )  # fmt: skip
    if not standing.is_admitted:
        raise RateLimited(retry_seconds, _told(standing, retry_seconds))


def _policy(policy: str, limit: Limit) -> bytes:
    seconds = _refill_seconds(limit, limit.burst)
    return f'"{policy}";q={limit.burst};w={seconds}{_UNITS[policy]}'.encode()


def _refill_seconds(limit: Limit, units: int) -> int:
    return max(0, -(-units // limit.rate_per_second))


def _told(standing: Standing, retry_seconds: int) -> str:
    limit = standing.limit
    whose = {"account": "The account", "key": "The key", "requests": "The key"}[standing.policy]
    what = "makes requests" if standing.policy == "requests" else "sends"
    return (
        f"{whose} {what} faster than {limit.rate_per_second} a second, and its burst of "
        f"{limit.burst} is used up. Wait {retry_seconds} s."
    )
