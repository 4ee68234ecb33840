"""Examples for the API's page: one customer, one message, the same ids throughout."""

from typing import Any

MESSAGE_ID = "msg_0193a5c2f5d07c3e8f21b6a4d9e01234"
ACCOUNT_ID = "acct_01939f00aa107b1c9a55c0de5eed0001"
CUSTOMER_ID = "acct_01939f00aa117b1c9a55c0de5eed0003"
ADJUSTMENT_ID = "adj_01939f00aa127b1c9a55c0de5eed0004"
TRANSFER_ID = "trf_01939f00aa137b1c9a55c0de5eed0005"
API_KEY_ID = "key_01939f00bb207e2d8b66d1ef6ffe0002"
REQUEST_ID = "req_0193a5c2f5cf7a0d9c11aa22bb33cc44"

SEND = {
    "to": "+254712345678",
    "text": "Your code is 493 207. It is good for five minutes.",
    "sender": "ACME",
    "lane": "priority",
    "ttl_seconds": 300,
    "metadata": {"order": "A-1042"},
}

ACCEPTED = {
    "id": MESSAGE_ID,
    "status": "accepted",
    "to": "+254712345678",
    "sender": "ACME",
    "lane": "priority",
    "mode": "live",
    "encoding": "GSM-7",
    "segments": 1,
    "price_micros": 800_000,
    "charged_micros": 0,
    "refunded_micros": 0,
    "possible_duplicate": False,
    "country": "KE",
    "network": "safaricom",
    "route": None,
    "failure": None,
    "metadata": {"order": "A-1042"},
    "campaign_id": None,
    "account_id": ACCOUNT_ID,
    "accepted_at": "2026-11-02T08:15:04.210000Z",
    "submitted_at": None,
    "finished_at": None,
    "expires_at": "2026-11-02T08:20:04.210000Z",
}

DELIVERED = {
    **ACCEPTED,
    "status": "delivered",
    "charged_micros": 800_000,
    "route": {"aggregator": "celcom", "reference": "8290842"},
    "submitted_at": "2026-11-02T08:15:04.530000Z",
    "finished_at": "2026-11-02T08:15:07.904000Z",
}

EVENT = {
    "id": "evt_0193a5c2f5d07c3e8f21b6a4d9e01234_1",
    "sequence": 1,
    "name": "message.accepted",
    "at": "2026-11-02T08:15:04.210000Z",
    "actor": f"key:{API_KEY_ID}",
    "request_id": REQUEST_ID,
    "data": {"lane": "priority", "segments": 1, "price_micros": 800_000},
}

BALANCE = {
    "account_id": ACCOUNT_ID,
    "billing_account_id": ACCOUNT_ID,
    "posted_micros": 500_000_000,
    "reserved_micros": 800_000,
    "credit_limit_micros": 0,
    "available_micros": 499_200_000,
    "as_of": "2026-11-02T08:15:05.000000Z",
    "paid_by": "self",
    "spending_cap_micros": None,
    "spent_this_month_micros": None,
    "entry": 3,
}

ENTRY = {
    "id": "evt_01939f00aa107b1c9a55c0de5eed0001_3",
    "entry": 3,
    "name": "credit.reserved",
    "at": "2026-11-02T08:15:04.210000Z",
    "recorded_at": "2026-11-02T08:15:04.213000Z",
    "actor": f"key:{API_KEY_ID}",
    "request_id": REQUEST_ID,
    "amount_micros": 800_000,
    "posted_after_micros": 500_000_000,
    "reserved_after_micros": 800_000,
    "credit_limit_after_micros": 0,
    "available_after_micros": 499_200_000,
    "message_id": MESSAGE_ID,
    "customer_id": None,
    "price_micros": None,
    "data": {"expires_at": "2026-11-09T08:20:04.210000Z"},
}

CUSTOMER = {
    "id": CUSTOMER_ID,
    "name": "Duka la Mama",
    "tier": "starter",
    "pays_itself": False,
    "spending_cap_micros": 500_000_000,
    "spent_this_month_micros": 12_800_000,
    "opened_at": "2026-11-01T06:10:00Z",
}

MARGIN = {
    "customer_id": CUSTOMER_ID,
    "name": "Duka la Mama",
    "messages": 16,
    "price_micros": 12_800_000,
    "cost_micros": 9_600_000,
    "margin_micros": 3_200_000,
}

ADJUSTMENT = {
    "id": ADJUSTMENT_ID,
    "account_id": ACCOUNT_ID,
    "amount_micros": 25_000_000,
    "category": "goodwill",
    "reason": "Outage of 3 November.",
    "state": "proposed",
    "proposed_by": f"operator:{API_KEY_ID}",
    "proposed_at": "2026-11-04T07:00:00Z",
    "decided_by": None,
    "decided_at": None,
    "entry": None,
}

QUOTE = {
    "price_micros": 1_600_000,
    "segments": 2,
    "encoding": "UCS-2",
    "units": 73,
    "forcing_characters": [{"character": "ŵ", "positions": [20]}],
    "to": "+254712345678",
    "country": "KE",
    "network": "safaricom",
    "earliest_send_at": "2026-11-02T08:15:04.210000Z",
    "sender_class": "transactional",
    "opt_out_text": None,
    "text_sent": "Karibu! We open at T\u0175r House on Sunday from eight to five, as every week.",
    "lookalikes": None,
}

ACCOUNT: dict[str, Any] = {
    "id": ACCOUNT_ID,
    "billing_account_id": ACCOUNT_ID,
    "name": "Acme Stores",
    "kind": "direct",
    "tier": "starter",
    "preferred_aggregator": None,
    "opened_at": "2026-11-01T06:00:00Z",
    "agent_id": None,
    "spending_cap_micros": None,
    "price_list": {},
    "refunded_on": None,
    "rate_per_second": 10,
    "burst": 50,
    "is_limit_agreed": False,
}

API_KEY = {
    "id": API_KEY_ID,
    "account_id": ACCOUNT_ID,
    "name": "shop backend",
    "scopes": ["messages:read", "messages:send"],
    "mode": "live",
    "last_four": "7Qx2",
    "issued_at": "2026-11-01T06:05:00Z",
    "revoked_at": None,
    "rate_per_second": None,
    "burst": None,
}

EXPLANATION: dict[str, Any] = {
    "id": MESSAGE_ID,
    "status": "delivered",
    "text": {"encoding": "GSM-7", "units": 27, "segments": 1, "forcing_characters": []},
    "price": {
        "price_micros": 800_000,
        "cost_micros": 800_000,
        "priced_by": None,
        "refunded_on": ["rejected"],
    },
    "attempts": [
        {
            "number": 1,
            "aggregator": "celcom",
            "reason": "default",
            "health": {
                "celcom": {"state": "closed", "attempts": 412, "errors": 3},
                "africastalking": {"state": "closed", "attempts": 0, "errors": 0},
            },
            "possible_duplicate": False,
            "started_at": "2026-11-02T08:15:04.260000Z",
            "outcome": "accepted",
            "ended_at": "2026-11-02T08:15:04.410000Z",
            "milliseconds": 150,
            "answer": '{"responses":[{"respose-code":200,"response-description":"Success",'
            '"mobile":"*","messageid":8290842,"networkid":"1"}]}',
            "reference": "8290842",
            "provider_cost": None,
            "failure": None,
            "provider_code": None,
            "provider_detail": None,
            "retry_at": None,
            "waits_until": None,
        }
    ],
    "credits": [
        {
            "id": "evt_01939f00aa107b1c9a55c0de5eed0001_3",
            "sequence": 2,
            "name": "credit.reserved",
            "at": "2026-11-02T08:15:04.210000Z",
            "actor": f"key:{API_KEY_ID}",
            "request_id": REQUEST_ID,
            "data": {"amount_micros": 800_000},
        }
    ],
    "reports": [
        {
            "at": "2026-11-02T08:15:07.120000Z",
            "state": "delivered",
            "description": "DeliveredToTerminal",
            "failure": None,
            "reported_by": "aggregator:celcom",
            "request_id": "rpt_0193a5c301b07c3e8f21b6a4d9e0aaaa",
        }
    ],
    "timing": [
        {
            "step": "message.accepted",
            "at": "2026-11-02T08:15:04.210000Z",
            "milliseconds": 0,
            "total_milliseconds": 0,
        },
        {
            "step": "message.submitted",
            "at": "2026-11-02T08:15:04.410000Z",
            "milliseconds": 200,
            "total_milliseconds": 200,
        },
    ],
}

DEAD_LETTER_ID = "dlq_01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e"
DEAD_LETTER: dict[str, Any] = {
    "id": DEAD_LETTER_ID,
    "queue": "sms.normal",
    "state": "waiting",
    "error_type": "PoisonMessage",
    "error": "unreadable_job",
    "delivery_count": 1,
    "first_at": "2026-11-25T08:15:04Z",
    "last_at": "2026-11-25T08:15:04Z",
    "about": None,
    "message_id": "01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e:0",
    "republished_count": 0,
    "settled_by": None,
    "settled_at": None,
    "reason": None,
}
DEAD_LETTER_JOB: dict[str, Any] = {
    "id": "dlj_01a21f66b3c17a52b0c4d5e6f7a8b9c0",
    "action": "republish",
    "state": "running",
    "queue": "sms.normal",
    "error_type": "PoisonMessage",
    "older_than_seconds": None,
    "newer_than_seconds": None,
    "rate_per_second": 20,
    "reason": None,
    "total_count": 312,
    "done_count": 140,
    "started_by": "operator:key_01939f00bb207e2d8b66d1ef6ffe0006",
    "started_at": "2026-11-25T09:00:00Z",
    "ended_at": None,
}
