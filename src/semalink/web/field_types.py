"""Types of fields that several requests share."""

from typing import Annotated
from uuid import UUID

import msgspec

from semalink.domain.errors import AccountNotFound
from semalink.domain.ids import ACCOUNT_PREFIX, parse_id

AMOUNT_MICROS_MAX = 10**15

#: What people may be called: no control characters.
Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^[^\u0000-\u001f\u007f]+$")
]
#: Why something was done, for auditors.
Reason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=500, pattern=r"^[^\u0000-\u001f\u007f]+$")
]
AccountText = Annotated[str, msgspec.Meta(max_length=64)]
AmountMicros = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MICROS_MAX)]
LimitMicros = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MICROS_MAX)]
Cursor = Annotated[str, msgspec.Meta(max_length=200)]
PageSize = Annotated[int, msgspec.Meta(ge=1, le=100)]


def account_uuid(text: str) -> UUID:
    """Return the UUID behind an account id; raises AccountNotFound when it is none."""
    account_id = parse_id(ACCOUNT_PREFIX, text)
    if account_id is None:
        raise AccountNotFound
    return account_id
