"""What events of routes do to the tables that are kept in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from semalink.domain.account import Account
from semalink.domain.route import Route
from semalink.domain.sender_route import SenderRoute

#: SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]

INSERT_ROUTE = "INSERT INTO routes (route_id, name) VALUES (%s, %s)"

SET_MODE = """
UPDATE routes SET mode = %s, reason = %s, set_by = %s, set_at = %s, expires_at = %s
WHERE route_id = %s"""

OPEN_CIRCUIT = """
INSERT INTO route_circuits (route_id, network, is_open, since, cause, probe_at, error_permille)
VALUES (%s, %s, true, %s, %s, %s, %s)
ON CONFLICT (route_id, network) DO UPDATE SET
    is_open = true, since = excluded.since, cause = excluded.cause, probe_at = excluded.probe_at,
    probe_until = NULL, error_permille = excluded.error_permille, taken_probes = '{}'"""

START_PROBE = "UPDATE route_circuits SET probe_until = %s WHERE route_id = %s AND network = %s"

PROBE_TAKEN = """
UPDATE route_circuits SET taken_probes = taken_probes || %s::uuid
WHERE route_id = %s AND network = %s"""

REST_AGAIN = """
UPDATE route_circuits SET probe_at = %s, probe_until = NULL WHERE route_id = %s AND network = %s"""

CLOSE_CIRCUIT = """
UPDATE route_circuits SET is_open = false, since = %s, probe_until = NULL
WHERE route_id = %s AND network = %s"""

SET_DETOUR = """
INSERT INTO route_overrides (scope, subject, route, reason, set_by, set_at, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (scope, subject) DO UPDATE SET
    route = excluded.route, reason = excluded.reason, set_by = excluded.set_by,
    set_at = excluded.set_at, expires_at = excluded.expires_at"""

CLEAR_DETOUR = "DELETE FROM route_overrides WHERE scope = %s AND subject = %s"


def _named(event: Route.Created) -> Sequence[Statement]:
    return [(INSERT_ROUTE, (event.originator_id, event.route))]


def _tripped(event: Route.Tripped) -> Sequence[Statement]:
    error_permille = event.errors * 1000 // max(event.attempts, 1)
    parameters = (
        event.originator_id,
        event.network,
        event.timestamp,
        event.cause,
        event.probe_at,
        error_permille,
    )
    return [(OPEN_CIRCUIT, parameters)]


def _probe_started(event: Route.ProbeStarted) -> Sequence[Statement]:
    return [(START_PROBE, (event.until, event.originator_id, event.network))]


def _probe_passed(event: Route.ProbePassed) -> Sequence[Statement]:
    where = (event.originator_id, event.network)
    taken = [(PROBE_TAKEN, (event.message_id, *where))] if event.result == "accepted" else []
    return [(START_PROBE, (None, *where)), *taken]


def _probe_failed(event: Route.ProbeFailed) -> Sequence[Statement]:
    return [(REST_AGAIN, (event.probe_at, event.originator_id, event.network))]


def _recovered(event: Route.Recovered) -> Sequence[Statement]:
    return [(CLOSE_CIRCUIT, (event.timestamp, event.originator_id, event.network))]


def _overridden(event: Route.Overridden) -> Sequence[Statement]:
    said = (event.mode, event.reason, event.actor, event.timestamp, event.expires_at)
    return [(SET_MODE, (*said, event.originator_id))]


def _override_cleared(event: Route.OverrideCleared) -> Sequence[Statement]:
    said = ("auto", event.reason, event.actor, event.timestamp, None)
    return [(SET_MODE, (*said, event.originator_id))]


def _sender_overridden(event: SenderRoute.Overridden) -> Sequence[Statement]:
    return [_detour("sender", event.sender, event, event.expires_at)]


def _account_overridden(event: Account.RouteOverridden) -> Sequence[Statement]:
    return [_detour("account", _text(event.originator_id), event, event.expires_at)]


def _account_dedicated(event: Account.RouteDedicated) -> Sequence[Statement]:
    return [_detour("dedicated", _text(event.originator_id), event, None)]


def _detour(scope: str, subject: str, event: Any, expires_at: datetime | None) -> Statement:
    if event.aggregator is None:
        return CLEAR_DETOUR, (scope, subject)
    said = (event.aggregator, event.reason, event.actor, event.timestamp, expires_at)
    return SET_DETOUR, (scope, subject, *said)


def _text(account_id: UUID) -> str:
    return account_id.hex


#: The statements of each kind of event, in order.
ROUTE_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    Route.Created: _named,
    Route.Tripped: _tripped,
    Route.ProbeStarted: _probe_started,
    Route.ProbePassed: _probe_passed,
    Route.ProbeFailed: _probe_failed,
    Route.Recovered: _recovered,
    Route.Overridden: _overridden,
    Route.OverrideCleared: _override_cleared,
    SenderRoute.Overridden: _sender_overridden,
    Account.RouteOverridden: _account_overridden,
    Account.RouteDedicated: _account_dedicated,
}
