"""Which aggregator carries a message."""

from collections.abc import Collection, Sequence

#: Celcom first, Africa's Talking as fallback.
DEFAULT_ORDER = ("celcom", "africastalking")

#: Messages of test keys go here and nowhere else.
TEST_ROUTE = "sandbox"


def choose_route(
    preferred: str | None, *, refused_by: Collection[str], order: Sequence[str] = DEFAULT_ORDER
) -> str | None:
    """Return the next aggregator to try, or None when each of them has refused."""
    ranked = [preferred, *order] if preferred in order else order
    return next((route for route in ranked if route and route not in refused_by), None)
