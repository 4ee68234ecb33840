"""The shapes of opt-outs: what is asked for and what is answered."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from semalink.application.opt_out_reading import OptOutView
from semalink.application.sending import ItemRefused
from semalink.domain.errors import InvalidNumber
from semalink.domain.phone_number import parse
from semalink.web import examples
from semalink.web.field_types import AccountText, Cursor, PageSize, Reason
from semalink.web.problems import EdgeRefusal, FieldProblem

NUMBERS_MAX = 1_000

SourceName = Literal[
    "api", "operator", "aggregator_callback", "blacklisted_report", "refused_submission"
]

Number = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="Mobile number, best in E.164.")
]
SenderId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[ -~]+$",
        description="The sender id that it is about; left out, it is about all of them.",
    ),
]
How = Annotated[
    str,
    msgspec.Meta(
        max_length=200,
        pattern=r"^[^\u0000-\u001f\u007f]*$",
        description="How the recipient said so, for whoever asks later.",
    ),
]
Consent = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=500,
        pattern=r"^[^\u0000-\u001f\u007f]+$",
        description=(
            "When and how the recipient agreed to be messaged again; needed where they opted out "
            "themselves."
        ),
    ),
]


class NewOptOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipient who is not to be messaged."""

    number: Number
    sender: SenderId | None = None
    how: How = ""


class NewOptOuts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recipients who are not to be messaged."""

    numbers: Annotated[list[Number], msgspec.Meta(min_length=1, max_length=NUMBERS_MAX)]
    sender: SenderId | None = None
    how: How = ""


class NewAnyOptOut(NewOptOut, frozen=True, forbid_unknown_fields=True):
    """A recipient who is not to be messaged by an account, or by any."""

    #: Null: by no account of the platform.
    account_id: AccountText | None = None


class Lifting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a recipient may be messaged again."""

    reason: Reason
    consent: Consent | None = None


class OptOuts(msgspec.Struct, frozen=True):
    """A page of opt-outs, newest first."""

    items: list[OptOutView]
    next_cursor: str | None


class OptOutItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one number of several: its opt-out, or why there is none."""

    index: int
    opt_out: OptOutView | None = None
    refused: ItemRefused | None = None


class OptOutsOutcome(msgspec.Struct, frozen=True):
    """What became of several numbers, one item for each, in order."""

    #: How many opt-outs are new.
    recorded_count: int
    #: How many held already.
    known_count: int
    refused_count: int
    items: list[OptOutItem]


class OptOutQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which opt-outs are listed."""

    number: Number | None = None
    sender: SenderId | None = None
    source: SourceName | None = None
    active: bool | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class AnyOptOutQuery(OptOutQuery, frozen=True, forbid_unknown_fields=True):
    """Which opt-outs of any account are listed."""

    account_id: AccountText | None = None


QUERY_NOTES = {
    "number": "Only opt-outs of this number, best in E.164 with %2B for the plus sign.",
    "sender": "Only opt-outs of this sender id, in upper or lower case.",
    "source": "Only opt-outs that were learned in this way.",
    "active": "Only opt-outs that hold (true), or that were lifted (false).",
    "cursor": "The next_cursor of the page before, with the same filters.",
    "limit": "Opt-outs a page.",
}

OPT_OUT_ID = "opt_5d1b0c6e4f5a5c3b9a7e2f8d6c4b1a09"
OPT_OUT: dict[str, Any] = {
    "id": OPT_OUT_ID,
    "account_id": examples.ACCOUNT_ID,
    "number": "+254712345678",
    "sender": "ACME",
    "active": True,
    "source": "api",
    "how": "asked by phone",
    "recorded_at": "2026-11-02T08:15:04Z",
    "lifted_at": None,
    "lift_reason": None,
    "consent": None,
}
LIFTED: dict[str, Any] = {
    **OPT_OUT,
    "active": False,
    "lifted_at": "2026-11-03T10:00:00Z",
    "lift_reason": "signed up again",
    "consent": "form in the shop, 3 November",
}
OUTCOME: dict[str, Any] = {
    "recorded_count": 1,
    "known_count": 0,
    "refused_count": 1,
    "items": [
        {"index": 0, "opt_out": OPT_OUT},
        {
            "index": 1,
            "refused": {
                "code": "invalid_number",
                "detail": "The number has too few digits. "
                "Write the number in E.164, as +254712345678.",
                "pointer": "/numbers/1",
            },
        },
    ],
}


def number_of(text: str, default_country: str) -> str:
    """Return a number in E.164; raises EdgeRefusal, which points at the field."""
    try:
        return parse(text, default_country).e164
    except InvalidNumber as refusal:
        problem = FieldProblem("/number", refusal.code, str(refusal))
        raise EdgeRefusal(refusal.code, str(refusal), errors=[problem]) from None


def numbers_of(
    texts: Sequence[str], default_country: str
) -> tuple[dict[int, str], dict[int, ItemRefused]]:
    """Return the numbers in E.164 and what is none, by their places."""
    numbers: dict[int, str] = {}
    refused: dict[int, ItemRefused] = {}
    for index, text in enumerate(texts):
        try:
            numbers[index] = parse(text, default_country).e164
        except InvalidNumber as refusal:
            refused[index] = ItemRefused(refusal.code, str(refusal), f"/numbers/{index}")
    return numbers, refused
