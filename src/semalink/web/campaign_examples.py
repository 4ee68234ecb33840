"""Examples about campaigns for the API's page."""

from semalink.web import examples

CAMPAIGN_ID = "cmp_0193a5c2f6007c3e8f21b6a4d9e0c001"
LIST_ID = "lst_0193a5c2f6107c3e8f21b6a4d9e0c002"
OF_CAMPAIGN = {"campaign_id": CAMPAIGN_ID}

NEW = {
    "name": "December offers",
    "sender": "ACME",
    "text": "Habari {first_name}, 20% off everything until Sunday at {branch}.",
    "contact_list_ids": [LIST_ID],
    "send_at": "2026-12-01T09:00",
    "time_zone": "Africa/Nairobi",
    "defaults": {"branch": "our shop"},
}
WITH_RECIPIENTS = {
    "name": "Rent reminder",
    "sender": "ACME",
    "text": "Dear {name}, your rent of KES {amount} is due on Friday.",
    "recipients": [
        {"to": "+254712345678", "variables": {"name": "Wanjiku", "amount": "18,500"}},
        {"to": "0733 123 456", "variables": {"name": "Otieno", "amount": "22,000"}},
    ],
}
DRAFT = {
    "id": CAMPAIGN_ID,
    "account_id": examples.ACCOUNT_ID,
    "state": "draft",
    "mode": "live",
    "name": "December offers",
    "sender": "ACME",
    "text": NEW["text"],
    "contact_list_ids": [LIST_ID],
    "inline_recipient_count": 0,
    "send_at": "2026-12-01T06:00:00Z",
    "time_zone": "Africa/Nairobi",
    "rate_per_second": None,
    "finish_by": None,
    "validity_seconds": 86_400,
    "replace_lookalikes": False,
    "defaults": {"branch": "our shop"},
    "metadata": {},
    "revision": 1,
    "problem": None,
    "message_count": None,
    "price_micros": None,
    "start_at": None,
    "started_at": None,
    "completed_at": None,
    "settled_at": None,
    "created_at": "2026-11-02T08:15:04.210000Z",
    "changed_at": "2026-11-02T08:15:04.210000Z",
}
CHECKING = {**DRAFT, "state": "checking"}
SCHEDULED = {
    **DRAFT,
    "state": "scheduled",
    "message_count": 48_120,
    "price_micros": 38_496_000_000,
    "start_at": "2026-12-01T06:00:00Z",
    "changed_at": "2026-11-02T08:16:00.000000Z",
}
SENDING = {**SCHEDULED, "state": "sending", "started_at": "2026-12-01T06:00:00.310000Z"}
PAUSED = {**SENDING, "state": "paused"}
CANCELLED = {**SENDING, "state": "cancelled"}
AWAITING = {**SCHEDULED, "state": "awaiting_approval"}

RECIPIENT = {
    "place": 17,
    "number": "+254712345678",
    "country": "KE",
    "network": "safaricom",
    "state": "left_out",
    "reason": "missing_variable",
    "reason_detail": "first_name",
    "segments": None,
    "price_micros": None,
}
SAMPLE = {
    "to": "+254712345678",
    "text": "Habari Wanjiku, 20% off everything until Sunday at our shop.",
    "segments": 1,
    "encoding": "GSM-7",
}
PROGRESS = {"state": "checking", "checked_count": 22_000, "recipient_count": 50_000}
QUOTE = {
    "campaign_id": CAMPAIGN_ID,
    "revision": 1,
    "checked_at": "2026-11-02T08:15:12.000000Z",
    "recipient_count": 50_000,
    "message_count": 48_120,
    "left_out": {"duplicate": 1_204, "invalid_number": 310, "opted_out": 366},
    "blocked_by_rule": {},
    "by_country": {"KE": 48_120},
    "by_network": {"safaricom": 33_100, "airtel": 14_800, "unknown": 220},
    "by_segments": {"1": 47_900, "2": 220},
    "segment_count": 48_340,
    "price_micros": 38_672_000_000,
    "sender_class": "promotional",
    "credit": {
        "is_enough": False,
        "available_micros": 30_000_000_000,
        "lacking_micros": 8_672_000_000,
    },
    "earliest_legal_start_at": "2026-12-01T06:00:00Z",
    "forecast": {
        "start_at": "2026-12-01T06:00:00Z",
        "finish_at": "2026-12-01T06:01:01Z",
        "messages_per_second": 800,
    },
    "samples": [SAMPLE],
    "warnings": [
        {
            "code": "insufficient_credits",
            "detail": "8672 credits lack; without them nothing of it is sent.",
        }
    ],
}
