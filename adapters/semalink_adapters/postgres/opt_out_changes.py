"""What events of opt-outs do to the table that is kept in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from semalink.domain.opt_out import OptOut

#: SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]

INSERT_OPT_OUT = """
INSERT INTO opt_outs (
    opt_out_id, account_id, sender, number, source, how, recorded_at, recorded_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""

RENEW_OPT_OUT = """
UPDATE opt_outs SET
    is_active = true, source = %s, how = %s, recorded_at = %s, recorded_by = %s,
    lifted_at = NULL, lifted_by = NULL, lift_reason = NULL, consent = NULL
WHERE opt_out_id = %s"""

LIFT_OPT_OUT = """
UPDATE opt_outs SET
    is_active = false, lifted_at = %s, lifted_by = %s, lift_reason = %s, consent = %s
WHERE opt_out_id = %s"""


def _recorded(event: OptOut.Created) -> Sequence[Statement]:
    subject = (event.originator_id, event.account_id, event.sender, event.recipient)
    told = (event.source, event.how, event.timestamp, event.actor)
    return [(INSERT_OPT_OUT, (*subject, *told))]


def _renewed(event: OptOut.Renewed) -> Sequence[Statement]:
    told = (event.source, event.how, event.timestamp, event.actor)
    return [(RENEW_OPT_OUT, (*told, event.originator_id))]


def _lifted(event: OptOut.Lifted) -> Sequence[Statement]:
    said = (event.timestamp, event.actor, event.reason, event.consent)
    return [(LIFT_OPT_OUT, (*said, event.originator_id))]


#: The statements of each kind of event, in order.
OPT_OUT_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    OptOut.Created: _recorded,
    OptOut.Renewed: _renewed,
    OptOut.Lifted: _lifted,
}
