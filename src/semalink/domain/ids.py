"""Identifiers: UUIDv7 inside, prefixed and time-sortable outside."""

from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)
MessageId = NewType("MessageId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)

ACCOUNT_PREFIX = "acct_"
MESSAGE_PREFIX = "msg_"
API_KEY_PREFIX = "key_"
EVENT_PREFIX = "evt_"
REQUEST_PREFIX = "req_"
ADJUSTMENT_PREFIX = "adj_"
TRANSFER_PREFIX = "trf_"
ENDPOINT_PREFIX = "whe_"
DELIVERY_PREFIX = "whk_"
RECOVERY_PREFIX = "rcv_"
OPT_OUT_PREFIX = "opt_"
CAMPAIGN_PREFIX = "cmp_"
CONTACT_LIST_PREFIX = "lst_"
CONTACT_IMPORT_PREFIX = "imp_"
SECRET_PREFIX = "whs_"  # noqa: S105

_HEX_LENGTH = 32


def format_id(prefix: str, value: UUID) -> str:
    """Return the public form: the prefix and 32 lower-case hexadecimal digits."""
    return prefix + value.hex


def parse_id(prefix: str, text: str) -> UUID | None:
    """Return the UUID behind a public id, or None when it is not one of this kind."""
    body = text.removeprefix(prefix)
    if len(text) != len(prefix) + _HEX_LENGTH or len(body) != _HEX_LENGTH:
        return None
    try:
        value = UUID(hex=body)
    except ValueError:
        return None
    return value if value.hex == body else None
