"""What webhooks look like in the documentation."""

from typing import Any

from semalink.web import examples

ENDPOINT_ID = "whe_01939f00aa107e2d8b66d1ef6ffe0101"
DELIVERY_ID = "whk_01939f00aa207e2d8b66d1ef6ffe0102"
RECOVERY_ID = "rcv_01939f00aa307e2d8b66d1ef6ffe0103"
SECRET_ID = "whs_01939f00aa407e2d8b66d1ef6ffe0104"  # noqa: S105
EVENT_ID = f"evt_{examples.MESSAGE_ID.removeprefix('msg_')}_4"
_URL = "https://shop.example.com/webhooks"

DELIVERY: dict[str, Any] = {
    "id": DELIVERY_ID,
    "account_id": examples.ACCOUNT_ID,
    "webhook_endpoint_id": ENDPOINT_ID,
    "event_id": EVENT_ID,
    "event_type": "message.delivered",
    "event_sequence": 17,
    "message_id": examples.MESSAGE_ID,
    "state": "waiting",
    "is_held": False,
    "trigger": "auto",
    "recovery_id": None,
    "attempts_made": 1,
    "next_attempt_at": "2026-11-02T08:16:02Z",
    "created_at": "2026-11-02T08:15:07Z",
    "finished_at": None,
    "last_status": 503,
    "last_error_class": "status",
}

DELIVERY_DETAIL: dict[str, Any] = {
    **DELIVERY,
    "given_up": None,
    "payload": f'{{"version":1,"id":"{EVENT_ID}","sequence":17,"type":"message.delivered"}}',
    "attempts": [
        {
            "attempt": 1,
            "at": "2026-11-02T08:15:07Z",
            "trigger": "auto",
            "outcome": "failed",
            "url": _URL,
            "status": 503,
            "error_class": "status",
            "duration_ms": 212,
            "secret_ids": [SECRET_ID],
            "response_headers": {"content-type": "text/plain", "retry-after": "30"},
            "response_body": "down for maintenance",
            "response_body_encoding": "text",
            "response_body_sha256": (
                "1f0d6a3c9c2f3ddc1a4a3a60ed1b1ee07dd4b1f2a59f4a3c1b2de5a4ef0b2c11"
            ),
            "next_attempt_at": "2026-11-02T08:16:02Z",
        }
    ],
}

TEST_DELIVERY: dict[str, Any] = {
    **DELIVERY_DETAIL,
    "event_type": "webhook.test",
    "event_sequence": None,
    "message_id": None,
    "trigger": "test",
    "attempts_made": 0,
    "last_status": None,
    "last_error_class": None,
    "attempts": [],
}

NEW_RECOVERY: dict[str, Any] = {
    "id": RECOVERY_ID,
    "account_id": examples.ACCOUNT_ID,
    "webhook_endpoint_id": ENDPOINT_ID,
    "mode": "failed",
    "since": "2026-11-02T08:00:00Z",
    "until": "2026-11-02T11:00:00Z",
    "event_types": ["*"],
    "rate_per_second": 50,
    "state": "running",
    "is_matched": False,
    "matched_count": 0,
    "sent_count": 0,
    "delivered_count": 0,
    "failed_count": 0,
    "skipped_count": 0,
    "created_at": "2026-11-02T11:00:00Z",
    "ended_at": None,
}

RECOVERY: dict[str, Any] = {
    **NEW_RECOVERY,
    "is_matched": True,
    "matched_count": 1_240,
    "sent_count": 600,
    "delivered_count": 588,
    "failed_count": 0,
    "skipped_count": 2,
}

HEALTH: dict[str, Any] = {
    "webhook_endpoint_id": ENDPOINT_ID,
    "account_id": examples.ACCOUNT_ID,
    "state": "enabled",
    "breaker": "open",
    "open_until": "2026-11-02T08:16:10Z",
    "success_count": 1_204,
    "failure_count": 6,
    "consecutive_failures": 6,
    "failing_since": "2026-11-02T08:15:07Z",
    "last_success_at": "2026-11-02T08:14:58Z",
    "last_failure_at": "2026-11-02T08:15:40Z",
    "last_latency_ms": 212,
    "waiting_count": 38,
    "held_count": 0,
    "next_attempt_at": "2026-11-02T08:16:02Z",
    "warned_percent": 0,
}

SECRET: dict[str, Any] = {
    "id": SECRET_ID,
    "kind": "v1",
    "fingerprint": "9f86d081884c7d65",
    "created_at": "2026-11-02T08:15:04Z",
    "expires_at": None,
}

ENDPOINT: dict[str, Any] = {
    "id": ENDPOINT_ID,
    "account_id": examples.ACCOUNT_ID,
    "url": _URL,
    "event_types": ["message.*"],
    "description": "Shop backend",
    "state": "enabled",
    "disabled_reason": None,
    "rate_per_second": 50,
    "concurrency": 4,
    "secrets": [SECRET],
    "created_at": "2026-11-02T08:15:04Z",
    "changed_at": "2026-11-02T08:15:04Z",
}

ENDPOINT_WITH_HEALTH: dict[str, Any] = {**ENDPOINT, "health": HEALTH}

NEW_ENDPOINT: dict[str, Any] = {
    **ENDPOINT,
    "secret": "whsec_… (50 characters)",
    "verification_key": None,
}

ROTATED: dict[str, Any] = {
    **NEW_ENDPOINT,
    "secrets": [
        {**SECRET, "id": SECRET_ID[:-1] + "5", "created_at": "2026-11-09T08:15:04Z"},
        {**SECRET, "expires_at": "2026-11-10T08:15:04Z"},
    ],
}

FED: dict[str, Any] = {
    "version": 1,
    "id": EVENT_ID,
    "sequence": 17,
    "type": "message.delivered",
    "at": "2026-11-02T08:15:07Z",
    "account_id": examples.ACCOUNT_ID,
    "data": examples.DELIVERED,
}
