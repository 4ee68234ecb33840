"""Examples of what became of a campaign, for the API's page."""

from typing import Any

from semalink.web.campaign_examples import CAMPAIGN_ID

RESULTS: dict[str, Any] = {
    "campaign_id": CAMPAIGN_ID,
    "name": "November offer",
    "state": "sending",
    "mode": "live",
    "as_of": "2026-11-25T09:01:30Z",
    "message_count": 40_000,
    "counts": {
        "accepted": 40_000,
        "submitted": 24_010,
        "waiting": 15_990,
        "under_way": 1_400,
        "delivered": 22_580,
        "failed": 30,
        "rejected": 0,
        "expired": 0,
        "cancelled": 0,
        "unknown": 0,
    },
    "progress_percent": 60,
    "forecast_finish_at": "2026-11-25T09:02:30Z",
    "started_at": "2026-11-25T09:00:00Z",
    "completed_at": None,
    "settled_at": None,
    "segments": 40_000,
    "money": {
        "price_micros": 32_000_000_000,
        "charged_micros": 19_208_000_000,
        "refunded_micros": 24_000_000,
        "cost_micros": 19_184_000_000,
        "reserved_micros": 32_000_000_000,
        "still_reserved_micros": 12_792_000_000,
        "released_micros": 0,
    },
    "failures": [
        {
            "status": "failed",
            "code": "absent_subscriber",
            "detail": (
                "The recipient's phone could not be reached: off, away, or its SIM is inactive."
            ),
            "who_can_fix": "recipient",
            "retryable": True,
            "count": 30,
        }
    ],
    "left_out": [
        {
            "reason": "opted_out",
            "detail": "The recipient asked not to receive messages of this sender.",
            "count": 112,
        }
    ],
    "networks": [
        {
            "network": "safaricom",
            "accepted": 40_000,
            "submitted": 24_010,
            "delivered": 22_580,
            "not_delivered": 30,
            "segments": 40_000,
            "charged_micros": 19_208_000_000,
            "refunded_micros": 24_000_000,
        }
    ],
    "bucket_seconds": 60,
    "curve": [
        {
            "at": "2026-11-25T09:00:00Z",
            "accepted": 40_000,
            "submitted": 16_000,
            "delivered": 14_900,
            "ended": 12,
        },
        {
            "at": "2026-11-25T09:01:00Z",
            "accepted": 0,
            "submitted": 8_010,
            "delivered": 7_680,
            "ended": 18,
        },
    ],
}

RESULTS_CSV = (
    "recipient,status,failure_code,failure,segments,price_micros,charged_micros,refunded_micros,"
    "network,submitted_at,finished_at,message_id\r\n"
    "+254712345678,delivered,,,1,800000,800000,0,safaricom,2026-11-25T09:00:04Z,"
    "2026-11-25T09:00:07Z,msg_0193a5c2f5d07c3e8f21b6a4d9e01234\r\n"
    "0712,left_out,invalid_number,The number is not one that can receive messages.,,,,,,,,\r\n"
)
