"""Waiting for something to become so, by asking again until a deadline."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

T = TypeVar("T")

PAUSE_SECONDS = 0.1


class Condition(AssertionError):
    """Something did not become so in time."""


async def until(
    ask: Callable[[], Awaitable[T | None]],
    what: str,
    *,
    within_seconds: float,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Return the first answer that is true; raises Condition at the deadline."""

    def give_up(state: RetryCallState) -> T:
        assert state.outcome is not None
        last: Any = state.outcome.exception() if state.outcome.failed else state.outcome.result()
        raise Condition(f"Not within {within_seconds:g} s: {what}. Last answer: {last!r}")

    asking = AsyncRetrying(
        retry=retry_if_exception_type(ignoring) | retry_if_result(lambda answer: not answer),
        wait=wait_fixed(PAUSE_SECONDS),
        stop=stop_after_delay(within_seconds),
        retry_error_callback=give_up,
    )

    async def attempt() -> T | None:
        return await ask()

    answer: T | None = await asking(attempt)
    assert answer is not None
    return answer
