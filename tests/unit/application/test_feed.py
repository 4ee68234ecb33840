import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from semalink.application.feed import (
    FeedItem,
    Known,
    Subscription,
    deliveries_of,
    items_of,
    number,
)
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.draft import Draft
from semalink.domain.message import Message
from semalink.domain.webhook_endpoint import DisabledReason, EndpointTerms, WebhookEndpoint

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("key:1", AT, "req_1")
OWNER, AGENT, CUSTOMER, MESSAGE = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
ENDPOINT, CAMPAIGN = UUID(int=5), UUID(int=6)


def accepted(account_id: UUID = OWNER) -> Message:
    draft = Draft(
        account_id=account_id,
        billing_account_id=OWNER,
        mode="live",
        to="+254712345678",
        country="KE",
        network=None,
        text="A secret",
        sender="DESK",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=800_000,
        expires_at=AT + timedelta(hours=24),
        metadata={"order": "17"},
    )
    return Message.accept(MESSAGE, draft, CAUSE)


def delivered() -> list[Any]:
    message = accepted()
    message.start_submission("celcom", CAUSE)
    message.record_receipt(
        1, "celcom", "ref-1", CAUSE, charged_micros=800_000, network="safaricom", cost="KES 0.80"
    )
    message.deliver("DeliveredToTerminal", None, CAUSE)
    return list(message.collect_events())


def names(items: Iterable[FeedItem]) -> list[str]:
    return [one.name for one in items]


def test_items_tell_the_public_steps_of_a_message_as_it_stood() -> None:
    items = list(items_of(delivered(), Known()))

    assert names(items) == ["message.accepted", "message.submitted", "message.delivered"]
    assert [one.shown.status for one in items] == ["accepted", "submitted", "delivered"]
    assert [one.shown.charged_micros for one in items] == [0, 800_000, 800_000]
    assert {(one.account_id, one.message_id) for one in items} == {(OWNER, MESSAGE)}


def test_items_go_on_from_what_was_before_the_page() -> None:
    first, *rest = delivered()

    items = items_of(rest, Known(messages={MESSAGE: first.mutate(None)}))

    assert names(items) == ["message.submitted", "message.delivered"]


def test_items_know_steps_that_come_later_in_the_log() -> None:
    first, started, submitted, last = delivered()
    gaps = {(MESSAGE, 2): started, (MESSAGE, 3): submitted}

    [_, item] = items_of([first, last], Known(gaps=gaps))

    assert (item.name, item.shown.charged_micros) == ("message.delivered", 800_000)


def test_items_of_an_agents_entry_tell_each_side_its_own_price() -> None:
    credit = CreditAccount.open(AGENT, CAUSE)
    credit.top_up(1_000, "payment-1", CAUSE)
    credit.spending[CUSTOMER, "2026-11"] = Spending(None, 0)
    credit.reserve(MESSAGE, 70, CAUSE, on_behalf=OnBehalf(CUSTOMER, 90, "2026-11"))

    items = list(items_of(credit.collect_events(), Known()))

    assert names(items) == ["credit.topped_up", "credit.reserved", "credit.reserved"]
    agents, customers = items[1].shown, items[2].shown
    assert (agents.amount_micros, agents.price_micros, agents.entry) == (70, 90, 3)
    assert agents.customer_id == f"acct_{CUSTOMER.hex}"
    assert (customers.amount_micros, customers.price_micros) == (90, 90)
    assert (customers.entry, customers.posted_after_micros, customers.customer_id) == (None,) * 3
    assert [one.account_id for one in items] == [AGENT, AGENT, CUSTOMER]
    assert AGENT.hex not in items[2].event_id


def endpoint_events() -> Sequence[Any]:
    endpoint = WebhookEndpoint.register(
        ENDPOINT, OWNER, EndpointTerms("https://example.com", ("*",)), CAUSE
    )
    endpoint.warn(25, CAUSE)
    endpoint.warn(0, CAUSE)
    endpoint.disable(DisabledReason.FAILING, CAUSE)
    return endpoint.collect_events()


def test_items_of_an_endpoint_are_warnings_and_its_end() -> None:
    items = list(items_of(endpoint_events(), Known(owners={ENDPOINT: OWNER})))

    assert names(items) == ["webhook_endpoint.warned", "webhook_endpoint.disabled"]
    assert [(one.shown.percent, one.shown.reason) for one in items] == [
        (25, None),
        (None, "failing"),
    ]


def test_items_of_a_campaign_are_what_its_owner_waits_for() -> None:
    plan = Plan(name="Offer", sender="DESK", text="A secret")
    campaign = Campaign.draft(CAMPAIGN, OWNER, AGENT, "live", plan, CAUSE)
    found: dict[str, Any] = dict.fromkeys((one.name for one in fields(Totals)), 0)
    totals = Totals(**(found | {"message_count": 2}))
    campaign.start_check(CAUSE, schedules=True)
    campaign.record_check(totals, CAUSE)
    campaign.schedule(AT, CAUSE, needs_approval=False)
    campaign.start(1_200_000, CAUSE)
    campaign.pause("Typo", CAUSE)
    campaign.cancel("", CAUSE)
    campaign.settle(1_200_000, CAUSE)
    events = list(campaign.collect_events())

    items = list(items_of(events, Known(owners={CAMPAIGN: OWNER})))

    assert names(items) == [
        "campaign.scheduled",
        "campaign.started",
        "campaign.paused",
        "campaign.cancelled",
        "campaign.settled",
    ]
    assert [one.shown.start_at for one in items[:2]] == [AT, None]
    assert [one.shown.message_count for one in items[:2]] == [None, 2]
    assert [one.shown.reason for one in items[2:4]] == ["Typo", None]
    assert {one.shown.campaign_id for one in items} == {f"cmp_{CAMPAIGN.hex}"}
    # What the agent sets aside for its customer is not the customer's to see.
    assert "1200000" not in "".join(str(one.shown) for one in items)
    assert list(items_of(events, Known())) == []


def test_items_leave_out_endpoints_that_nobody_has() -> None:
    assert list(items_of(endpoint_events(), Known())) == []


def test_items_leave_out_other_settings() -> None:
    assert list(items_of([object()], Known())) == []


def test_number_goes_on_for_each_account_without_a_gap() -> None:
    items = list(items_of(delivered(), Known()))
    mixed = [items[0], items[0]._replace(account_id=AGENT), *items[1:]]
    last = {OWNER: 16}

    numbered = number(mixed, last)

    assert [one.sequence for one in numbered] == [17, 1, 18, 19]
    assert last == {OWNER: 19, AGENT: 1}


def test_number_makes_the_payload_that_is_sent_and_served() -> None:
    [first, *_] = number(items_of(delivered(), Known()), {})

    payload = json.loads(first.payload)

    assert {key: value for key, value in payload.items() if key != "data"} == {
        "version": 1,
        "id": f"evt_{MESSAGE.hex}_1",
        "sequence": 1,
        "type": "message.accepted",
        "at": "2026-11-25T09:00:00Z",
        "account_id": f"acct_{OWNER.hex}",
    }
    assert payload["data"]["metadata"] == {"order": "17"}
    assert "A secret" not in first.payload.decode()


def subscription(account_id: UUID = OWNER, *patterns: str) -> Subscription:
    return Subscription(ENDPOINT, account_id, patterns or ("*",), AT)


def test_deliveries_go_to_endpoints_of_the_account_that_asked() -> None:
    numbered = number(items_of(delivered(), Known()), {})
    asked = [
        subscription(OWNER, "message.delivered", "credit.*"),
        replace(subscription(AGENT), endpoint_id=UUID(int=6)),
    ]

    [created] = deliveries_of(numbered, asked, CAUSE)

    assert (created.endpoint_id, created.account_id) == (ENDPOINT, OWNER)
    assert (created.event_name, created.event_sequence) == ("message.delivered", 3)
    assert created.message_id == MESSAGE
    assert created.originator_id.version == 7


def test_deliveries_are_the_same_ones_when_they_are_made_again() -> None:
    numbered = number(items_of(delivered(), Known()), {})

    first, again = (deliveries_of(numbered, [subscription()], CAUSE) for _ in range(2))

    assert [one.originator_id for one in first] == [one.originator_id for one in again]
    assert len({one.originator_id for one in first}) == 3


def test_deliveries_of_two_events_of_a_kind_are_two() -> None:
    item = next(iter(items_of(delivered(), Known())))
    numbered = number([item, item._replace(event_id="evt_2")], {})

    made = deliveries_of(numbered, [subscription()], CAUSE)

    assert len({one.originator_id for one in made}) == 2


def test_deliveries_leave_out_what_was_before_the_endpoint() -> None:
    numbered = number(items_of(delivered(), Known()), {})
    late = replace(subscription(), since=AT + timedelta(seconds=1))

    assert deliveries_of(numbered, [late], CAUSE) == []
    assert deliveries_of(numbered, [], CAUSE) == []
