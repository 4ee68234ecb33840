from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from semalink.application.reconciliation import EXPLAINED_MAX, Reconciliation, Sent, Suspect
from semalink.domain.reconciliation import ProviderRates, Snapshot

DAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
TABLE = {"version": 1, "prices": {"KE": {"default": "0.80"}}}
RATES = ProviderRates.from_mapping({"celcom": TABLE, "africastalking": TABLE})


class Book:
    """Holds what a test put into it."""

    def __init__(self) -> None:
        self.rows: list[Sent] = []
        self.balances: dict[str, list[Snapshot]] = {}
        self.found: list[Suspect] = []

    async def sent(self, first: date, last: date, route: str | None) -> Sequence[Sent]:
        return [row for row in self.rows if route in (None, row.route)]

    async def snapshots(self, route: str, first: date, last: date) -> Sequence[Snapshot]:
        return self.balances.get(route, [])

    async def suspects(
        self, day: date, route: str, limit: int, after: str | None
    ) -> Sequence[Suspect]:
        return [one for one in self.found if after is None or one.id > after][: min(limit, 2)]


def sent(route: str, segments: int, **more: Any) -> Sent:
    facts = {
        "day": DAY,
        "route": route,
        "country": "KE",
        "network": None,
        "currency": None,
        "message_count": segments,
        "segments": segments,
        "billed_micros": segments * 800_000,
        "reported_count": 0,
        "reported_micros": 0,
    }
    return Sent(**{**facts, **more})


async def test_costs_of_messages_are_compared_with_the_contract() -> None:
    book = Book()
    book.rows = [
        sent("africastalking", 2, reported_count=2, reported_micros=2_400_000),
        sent("africastalking", 1, network="telkom"),
    ]

    [day] = await Reconciliation(book, RATES).days(DAY, DAY)

    assert (day.message_count, day.segments, day.source) == (3, 3, "messages")
    assert (day.expected_micros, day.reported_micros) == (2_400_000, 2_400_000)
    assert (day.drift_micros, day.unreported_count) == (0, 1)


async def test_balances_are_compared_where_messages_name_no_cost() -> None:
    book = Book()
    book.rows = [sent("celcom", 2)]
    later = NOON.replace(hour=10)
    book.balances["celcom"] = [Snapshot(NOON, 10_000_000), Snapshot(later, 7_600_000)]

    [day] = await Reconciliation(book, RATES).days(DAY, DAY)

    assert (day.source, day.reported_micros) == ("balance", 2_400_000)
    assert day.drift_micros == 800_000


async def test_a_day_without_messages_shows_what_was_paid_in() -> None:
    book = Book()
    later = NOON.replace(hour=10)
    book.balances["celcom"] = [Snapshot(NOON, 0), Snapshot(later, 500)]

    [day] = await Reconciliation(book, RATES).days(DAY, DAY, "celcom")

    assert (day.message_count, day.topped_up_micros, day.drift_micros) == (0, 500, 0)


async def test_nothing_is_compared_where_nothing_is_known() -> None:
    book = Book()
    book.rows = [sent("celcom", 1), sent("celcom", 1, country="UG"), sent("celcom", 1)]

    [day] = await Reconciliation(book, RATES).days(DAY, DAY)

    assert (day.source, day.expected_micros) == ("none", None)
    assert (day.reported_micros, day.drift_micros) == (None, None)


async def test_costs_in_several_currencies_are_not_added_up() -> None:
    book = Book()
    for currency in ("KES", "USD"):
        book.rows.append(sent("celcom", 1, currency=currency, reported_count=1, reported_micros=5))

    [day] = await Reconciliation(book, RATES).days(DAY, DAY)

    assert (day.source, day.reported_micros, day.drift_micros) == ("currencies", None, None)


async def test_explain_ends_with_as_many_as_are_shown() -> None:
    book = Book()
    book.found = [
        Suspect(f"msg_{number:04}", "KE", None, 1, None, None, "no_cost")
        for number in range(EXPLAINED_MAX + 3)
    ]

    explained = await Reconciliation(book, RATES).explain(DAY, "celcom")

    assert len(explained) == EXPLAINED_MAX


async def test_explain_leaves_out_costs_that_are_as_expected() -> None:
    book = Book()

    def suspect(name: str, country: str, reported: int | None, reason: str) -> Suspect:
        return Suspect(name, country, None, 2, None, reported, reason)

    book.found = [
        suspect("msg_1", "KE", 1_600_000, "other_cost"),
        suspect("msg_2", "KE", 800_000, "other_cost"),
        suspect("msg_3", "KE", None, "no_cost"),
        suspect("msg_4", "UG", 800_000, "other_cost"),
        suspect("msg_5", "KE", 1_600_000, "possible_duplicate"),
    ]

    explained = await Reconciliation(book, RATES).explain(DAY, "africastalking")

    assert [(one.id, one.expected_micros) for one in explained] == [
        ("msg_2", 1_600_000),
        ("msg_3", 1_600_000),
        ("msg_5", 1_600_000),
    ]
