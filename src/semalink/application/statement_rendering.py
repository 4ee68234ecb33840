"""A statement as JSON, CSV or a page to print: always the same bytes for the same document."""

import csv
import html
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from semalink.application.csv_cells import text_cell
from semalink.application.statements import Position, Statement, decode_statement
from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.money import format_credits

Row = Sequence[str]

_CSV_COLUMNS = (
    "section", "day", "kind", "version", "count", "amount_micros", "account_id",
    "cost_micros", "margin_micros", "reference", "reason",
)  # fmt: skip

_STYLE = (
    "body{font:11pt/1.4 sans-serif;margin:2em auto;max-width:60em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%;margin:0 0 1.5em}"
    "th,td{text-align:left;padding:.2em .6em;border-bottom:1px solid #ccc}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}"
    "small{word-break:break-all}"
    "@media print{body{margin:0;max-width:none}tr{break-inside:avoid}"
    "thead{display:table-header-group}@page{margin:18mm}}"
)

_WORDS = {
    "topped_up": "Top-up",
    "adjusted": "Adjustment",
    "transferred_out": "Transfer out",
    "transferred_in": "Transfer in",
    "limit_set": "Credit limit set",
    "reserved": "Reserved",
    "charged": "Charged",
    "released": "Released",
    "reservation_expired": "Reservation expired",
    "refunded": "Refunded",
}


def render_json(document: bytes) -> bytes:
    """Return the document as it is."""
    return document


def render_csv(document: bytes) -> bytes:
    """Return one table with a column that names the section of each row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV_COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(_csv_rows(decode_statement(document)))
    return out.getvalue().encode()


def render_html(document: bytes) -> bytes:
    """Return a page that needs nothing else, made to be printed."""
    statement = decode_statement(document)
    so_far = "" if statement.closed else " so far"
    title = f"Statement {statement.month}{so_far}, {statement.account_id}"
    body = "".join(_sections(statement))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Statement of {html.escape(statement.month)}{so_far}</h1>{_not_final(statement)}"
        f"<p>Account {html.escape(statement.account_id)}. Amounts are credits. "
        "Days and times are East Africa Time (UTC+3).</p>"
        f"{body}</body></html>\n"
    ).encode()


#: By the name of the format: media type and how it is made.
FORMATS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "json": ("application/json", render_json),
    "csv": ("text/csv; charset=utf-8", render_csv),
    "html": ("text/html; charset=utf-8", render_html),
}


def _not_final(statement: Statement) -> str:
    """Return what a page says of a month that is open; nothing of a closed one."""
    if statement.as_of is None:
        return ""
    at = f"{statement.as_of.astimezone(BUSINESS_TIME):%Y-%m-%d %H:%M}"
    return f"<p><strong>Not final: the month is not closed. As of {at}.</strong></p>"


def _csv_rows(statement: Statement) -> Iterator[dict[str, object]]:
    if statement.as_of is not None:
        yield _csv_so_far(statement.as_of)
    yield from _csv_entries(statement)
    yield from _csv_sums(statement)
    if statement.closing is not None:
        yield from _csv_position("closing", statement.closing)


def _csv_so_far(as_of: datetime) -> dict[str, object]:
    at = f"{as_of.astimezone(BUSINESS_TIME):%Y-%m-%d %H:%M}"
    reason = f"Not final: the month is not closed. As of {at}."
    return {"section": "so_far", "day": _day(as_of), "reason": reason}


def _csv_entries(statement: Statement) -> Iterator[dict[str, object]]:
    if statement.opening is not None:
        yield from _csv_position("opening", statement.opening)
    for one in statement.singles:
        yield {
            "section": "entry",
            "day": _day(one.at),
            "kind": one.kind,
            "version": one.version,
            "count": 1,
            "amount_micros": one.amount_micros,
            "reference": text_cell(one.reference),
            "reason": text_cell(one.reason),
        }
    for day in statement.days:
        yield {
            "section": "day",
            "day": day.day,
            "kind": day.kind,
            "count": day.count,
            "amount_micros": day.amount_micros,
        }


def _csv_sums(statement: Statement) -> Iterator[dict[str, object]]:
    for customer in statement.customers:
        yield {
            "section": "customer",
            "kind": "charged",
            "count": customer.charged_count - customer.refunded_count,
            "amount_micros": customer.price_micros,
            "account_id": customer.account_id,
            "cost_micros": customer.cost_micros,
            "margin_micros": customer.margin_micros,
        }
    for campaign in statement.campaigns:
        yield {
            "section": "campaign",
            "kind": campaign.kind,
            "count": campaign.count,
            "amount_micros": campaign.amount_micros,
            "reference": campaign.campaign_id,
        }
    for total in statement.totals:
        yield {
            "section": "total",
            "kind": total.kind,
            "count": total.count,
            "amount_micros": total.amount_micros,
        }


def _csv_position(section: str, position: Position) -> Iterator[dict[str, object]]:
    for kind, amount_micros in (
        ("posted", position.posted_micros),
        ("reserved", position.reserved_micros),
        ("credit_limit", position.credit_limit_micros),
    ):
        yield {
            "section": section,
            "kind": kind,
            "version": position.version,
            "amount_micros": amount_micros,
        }


def _sections(statement: Statement) -> Iterator[str]:
    if statement.opening is not None and statement.closing is not None:
        yield _balances(statement, statement.opening, statement.closing)
    yield _table(
        "Top-ups, adjustments, transfers and limits",
        ("When", "What", "Reference", "Reason"),
        ("Amount",),
        (
            (
                f"{one.at.astimezone(BUSINESS_TIME):%Y-%m-%d %H:%M}",
                _WORDS[one.kind],
                one.reference,
                one.reason,
                format_credits(one.amount_micros),
            )
            for one in statement.singles
        ),
    )
    yield _table(
        "Messages by day",
        ("Day", "What"),
        ("Count", "Amount"),
        (
            (day.day, _WORDS[day.kind], str(day.count), format_credits(day.amount_micros))
            for day in statement.days
        ),
    )
    yield from _sums(statement)


def _sums(statement: Statement) -> Iterator[str]:
    yield _table(
        "Customers",
        ("Account",),
        ("Charged", "Refunded", "Price", "Cost", "Margin"),
        (
            (
                one.account_id,
                str(one.charged_count),
                str(one.refunded_count),
                format_credits(one.price_micros),
                format_credits(one.cost_micros),
                format_credits(one.margin_micros),
            )
            for one in statement.customers
        ),
    )
    yield _table(
        "Campaigns (part of the days above)",
        ("Campaign", "What"),
        ("Count", "Amount"),
        (
            (one.campaign_id, _WORDS[one.kind], str(one.count), format_credits(one.amount_micros))
            for one in statement.campaigns
        ),
    )
    yield _table(
        "Totals",
        ("What",),
        ("Count", "Amount"),
        (
            (_WORDS[total.kind], str(total.count), format_credits(total.amount_micros))
            for total in statement.totals
        ),
    )


def _balances(statement: Statement, opening: Position, closing: Position) -> str:
    rows = (
        ("Bought and not spent", opening.posted_micros, closing.posted_micros),
        ("Reserved", opening.reserved_micros, closing.reserved_micros),
        ("Credit limit", opening.credit_limit_micros, closing.credit_limit_micros),
    )
    table = _table(
        "Balance",
        ("",),
        ("Opening", "Closing" if statement.closed else "So far"),
        ((name, format_credits(before), format_credits(after)) for name, before, after in rows),
    )
    return (
        f"{table}<p><small>Entries {opening.version + 1} to {closing.version}; hash of the last: "
        f"{html.escape(statement.closing_entry_hash or '')}</small></p>"
    )


def _table(title: str, texts: Sequence[str], numbers: Sequence[str], rows: Iterable[Row]) -> str:
    lines = "".join(f"<tr>{_cells('td', row, len(texts))}</tr>" for row in rows)
    if not lines:
        return ""
    head = _cells("th", (*texts, *numbers), len(texts))
    return (
        f"<h2>{html.escape(title)}</h2>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _cells(tag: str, row: Row, text_count: int) -> str:
    return "".join(
        f"<{tag}{'' if place < text_count else ' class=n'}>{html.escape(cell)}</{tag}>"
        for place, cell in enumerate(row)
    )


def _day(at: datetime) -> str:
    return f"{at.astimezone(BUSINESS_TIME):%Y-%m-%d}"
