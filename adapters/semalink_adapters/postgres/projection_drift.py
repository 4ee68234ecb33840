"""Compares read models of the ledger with its entries, as far as each has come."""

from collections.abc import Iterator
from typing import Any, LiteralString, NamedTuple

import psycopg

from semalink.application.ledger_findings import Finding, Kind


class Check(NamedTuple):
    """How the rows of one read model are held against the entries."""

    #: Also the name of its table.
    projection: str
    #: Selects account, version and what is wrong; takes an account, or NULL for all.
    statement: LiteralString


# The row is compared with the entry of the version that it names.
_BALANCES = """
SELECT b.account_id, b.version,
       CASE WHEN e.state IS NULL THEN 'it is of an entry that is not there'
            ELSE 'its balance is not the one after the entry' END
FROM balances AS b
LEFT JOIN ledger_entries AS e
    ON e.originator_id = b.account_id AND e.originator_version = b.version
LEFT JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::jsonb AS facts) AS s ON true
WHERE (%(account)s::uuid IS NULL OR b.account_id = %(account)s)
  AND (b.posted_micros, b.reserved_micros, b.credit_limit_micros) IS DISTINCT FROM (
      (s.facts ->> 'posted_after_micros')::bigint, (s.facts ->> 'reserved_after_micros')::bigint,
      CASE WHEN e.state IS NOT NULL
           THEN COALESCE((s.facts ->> 'credit_limit_after_micros')::bigint, 0) END)"""

# No row at all, or an old one, though the read model has passed the account.
_BALANCES_BEHIND = """
SELECT h.account_id, h.version,
       CASE WHEN b.version IS NULL THEN 'the account has no row' ELSE 'its row is an older one' END
FROM credit_heads AS h
JOIN cursors AS c ON c.name = 'balances'
JOIN ledger_entries AS first ON first.originator_id = h.account_id AND first.originator_version = 1
LEFT JOIN ledger_entries AS last
    ON last.originator_id = h.account_id AND last.originator_version = h.version
LEFT JOIN balances AS b ON b.account_id = h.account_id
WHERE (%(account)s::uuid IS NULL OR h.account_id = %(account)s)
  AND CASE WHEN b.version IS NULL
           THEN (first.xid, first.notification_id) <= (c.xid, c.position)
           ELSE b.version < h.version AND (last.xid, last.notification_id) <= (c.xid, c.position)
      END"""

# By the place that the read model has come to, not by its newest row, which may be gone as well.
_NO_ROW = """
SELECT e.originator_id, min(e.originator_version),
       CASE count(*) WHEN 1 THEN 'the entry has no row'
            ELSE count(*) || ' entries have no row, this one and later ones' END
FROM ledger_entries AS e
JOIN cursors AS c ON c.name = '{0}' AND (e.xid, e.notification_id) <= (c.xid, c.position)
LEFT JOIN {0} AS m ON m.account_id = e.originator_id AND m.version = e.originator_version
WHERE m.version IS NULL AND (%(account)s::uuid IS NULL OR e.originator_id = %(account)s)
GROUP BY e.originator_id"""

_ENTRIES = """
SELECT m.account_id, m.version, 'its row says something else than the entry'
FROM entries AS m
JOIN ledger_entries AS e
    ON e.originator_id = m.account_id AND e.originator_version = m.version
CROSS JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::jsonb AS facts) AS s
WHERE (%(account)s::uuid IS NULL OR m.account_id = %(account)s)
  AND (m.amount_micros, m.posted_after_micros, m.reserved_after_micros,
       m.credit_limit_after_micros, m.actor)
      IS DISTINCT FROM (
      (s.facts ->> 'amount_micros')::bigint,
      (s.facts ->> 'posted_after_micros')::bigint, (s.facts ->> 'reserved_after_micros')::bigint,
      COALESCE((s.facts ->> 'credit_limit_after_micros')::bigint, 0), s.facts ->> 'actor')
UNION ALL
SELECT m.account_id, m.version, 'its row is of an entry that is not there'
FROM entries AS m
LEFT JOIN ledger_entries AS e
    ON e.originator_id = m.account_id AND e.originator_version = m.version
WHERE e.state IS NULL AND (%(account)s::uuid IS NULL OR m.account_id = %(account)s)"""

_JOURNAL = """
SELECT j.account_id, j.version, 'its sums are not the balance after the entry'
FROM (SELECT account_id, max(version) AS version, sum(customer_credits)::bigint AS credits,
             sum(reserved)::bigint AS reserved
      FROM journal WHERE %(account)s::uuid IS NULL OR account_id = %(account)s
      GROUP BY account_id) AS j
LEFT JOIN ledger_entries AS e
    ON e.originator_id = j.account_id AND e.originator_version = j.version
LEFT JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::jsonb AS facts) AS s ON true
WHERE (-j.credits - j.reserved, -j.reserved) IS DISTINCT FROM (
    (s.facts ->> 'posted_after_micros')::bigint, (s.facts ->> 'reserved_after_micros')::bigint)"""

#: Add a read model of the ledger here; one without a table yet is passed over.
CHECKS = (
    Check("balances", _BALANCES),
    Check("balances", _BALANCES_BEHIND),
    Check("entries", _ENTRIES),
    Check("entries", _NO_ROW.format("entries")),
    Check("journal", _JOURNAL),
    Check("journal", _NO_ROW.format("journal")),
)


def audit_projections(
    connection: psycopg.Connection[Any], account_id: Any, checks: tuple[Check, ...] = CHECKS
) -> Iterator[Finding]:
    """Compare every read model that there is; states must be known to be readable."""
    for projection, statement in checks:
        row = connection.execute("SELECT to_regclass(%s)", (projection,)).fetchone()
        if row is None or row[0] is None:
            continue
        with connection.cursor(f"audit_of_{projection}") as cursor:
            cursor.execute(statement, {"account": account_id})
            for found_id, version, detail in cursor:
                yield Finding(
                    kind=Kind.PROJECTION_DRIFT,
                    detail=detail,
                    account_id=found_id.hex,
                    version=version,
                    projection=projection,
                )
