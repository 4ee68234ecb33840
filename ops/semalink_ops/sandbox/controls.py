"""The switches of one aggregator, changed while the sandbox runs."""

from enum import StrEnum
from typing import Annotated

import msgspec

_Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class Outage(StrEnum):
    """How an aggregator is down."""

    NONE = "none"
    #: The connection is cut without an answer; nothing is taken.
    REFUSE = "refuse"
    HTTP_500 = "http_500"
    #: The connection stays open and silent until the client gives up; nothing is taken.
    HANG = "hang"


class Controls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one aggregator does to every request; all off by default."""

    latency_ms: _Milliseconds = 0
    #: At most so much is added to the latency, evenly spread.
    latency_jitter_ms: _Milliseconds = 0
    #: Share of the requests that fail with a passing fault and take nothing.
    error_rate: _Rate = 0.0
    #: Requests a second; 0 is no limit.
    throttle_per_second: Annotated[int, msgspec.Meta(ge=0)] = 0
    outage: Outage = Outage.NONE
    report_delay_ms: _Milliseconds = 150
    #: Share of the requests that are taken and then cut off without an answer.
    answer_lost_rate: _Rate = 0.0
    #: Share of the messages whose reports are never pushed; `getdlr` still knows the state.
    drop_reports_rate: _Rate = 0.0
    #: Share of the messages whose last report is pushed twice.
    duplicate_reports_rate: _Rate = 0.0
    #: The same seed gives the same run of errors, losses, drops and duplicates.
    seed: int = 1


def replaced(body: bytes) -> Controls:
    """Read a whole set of switches; those not named go back to their default."""
    return msgspec.json.decode(body, type=Controls)


def patched(current: Controls, body: bytes) -> Controls:
    """Read some switches and leave the others as they are."""
    changes = msgspec.json.decode(body, type=dict[str, object])
    return msgspec.convert(msgspec.to_builtins(current) | changes, Controls)
