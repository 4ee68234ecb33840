"""What an audit of the ledger can find."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What is not as it must be."""

    #: An entry is not what its hash, chained to the one before, seals.
    BROKEN_LINK = "broken_link"
    #: The balance after an entry is not the one before it with the effect of the entry.
    WRONG_BALANCE = "wrong_balance"
    #: A version of an account has no entry.
    MISSING_ENTRY = "missing_entry"
    #: The table of open reservations and the entries disagree.
    OPEN_RESERVATION_MISMATCH = "open_reservation_mismatch"
    #: The head of an account and its last entry disagree.
    HEAD_MISMATCH = "head_mismatch"
    #: A read model does not say what the entries say.
    PROJECTION_DRIFT = "projection_drift"
    #: A checkpoint is not signed by a key that is known.
    BAD_SIGNATURE = "bad_signature"
    #: A signed checkpoint and the entries, or the checkpoint before, disagree.
    CHECKPOINT_MISMATCH = "checkpoint_mismatch"
    #: What a closed month froze is not what its event sealed, or what its entries say.
    WRONG_POSITION = "wrong_position"
    #: A statement is not the one that was stored when its month was closed.
    ALTERED_STATEMENT = "altered_statement"
    #: More was spent or reserved than there was.
    OVERDRAWN = "overdrawn"
    #: A reservation was resolved, or opened, a second time.
    DOUBLE_RESOLUTION = "double_resolution"
    #: An entry cannot be understood.
    UNREADABLE_ENTRY = "unreadable_entry"
    #: The columns of an entry say something else than what is sealed.
    MISFILED_ENTRY = "misfiled_entry"
    #: The time that an entry was recorded at cannot be, by the time that is sealed in it.
    WRONG_TIME = "wrong_time"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not as it must be, and where."""

    kind: Kind
    detail: str
    #: 32 hexadecimal digits.
    account_id: str = ""
    version: int = 0
    reservation_id: str = ""
    checkpoint: int = 0
    projection: str = ""
