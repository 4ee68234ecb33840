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

_ENTRIES = """
SELECT e.originator_id, e.originator_version,
       CASE WHEN m.version IS NULL THEN 'the entry has no row'
            ELSE 'its row says something else than the entry' END
FROM (SELECT account_id, max(version) AS version FROM entries
      WHERE %(account)s::uuid IS NULL OR account_id = %(account)s
      GROUP BY account_id) AS reached
JOIN ledger_entries AS e
    ON e.originator_id = reached.account_id AND e.originator_version <= reached.version
CROSS JOIN LATERAL (SELECT convert_from(e.state, 'UTF8')::jsonb AS facts) AS s
LEFT JOIN entries AS m
    ON m.account_id = e.originator_id AND m.version = e.originator_version
WHERE m.version IS NULL
   OR (m.posted_after_micros, m.reserved_after_micros, m.credit_limit_after_micros, m.actor)
      IS DISTINCT FROM (
      (s.facts ->> 'posted_after_micros')::bigint, (s.facts ->> 'reserved_after_micros')::bigint,
      COALESCE((s.facts ->> 'credit_limit_after_micros')::bigint, 0), s.facts ->> 'actor')
UNION ALL
SELECT m.account_id, m.version, 'its row is of an entry that is not there'
FROM entries AS m
LEFT JOIN ledger_entries AS e
    ON e.originator_id = m.account_id AND e.originator_version = m.version
WHERE e.state IS NULL AND (%(account)s::uuid IS NULL OR m.account_id = %(account)s)"""

# Postings of an entry that moves nothing may have no row, so the sums are compared.
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
CHECKS = (Check("balances", _BALANCES), Check("entries", _ENTRIES), Check("journal", _JOURNAL))


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
