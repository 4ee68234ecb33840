"""The command `ledger export`."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from semalink.domain.calendar import month_bounds
from semalink.domain.ids import ACCOUNT_PREFIX, parse_id
from semalink.domain.money import format_credits
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.ledger_tools.export import VERIFIER, Wanted, export
from semalink_ops.ledger_tools.export_files import FORMATS
from semalink_ops.ledger_tools.export_source import Range
from semalink_ops.signing import signer_of

_MONTH = re.compile(r"\d{4}-\d{2}")


class _Instant(click.ParamType[datetime]):
    """An instant in ISO 8601, UTC without a zone; or a business month for its first instant."""

    name = "time|month"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the instant."""
        text = str(value)
        try:
            if _MONTH.fullmatch(text):
                return month_bounds(text)[0]
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text} is no time such as 2026-11-25T12:00:00Z, nor a month.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class _Month(click.ParamType[tuple[datetime, datetime]]):
    """A business month."""

    name = "month"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[datetime, datetime]:
        """Return the first instant of the month and of the next one."""
        try:
            return month_bounds(str(value))
        except ValueError:
            self.fail(f"{value} is no month such as 2026-11.", param, ctx)


class _Formats(click.ParamType[tuple[str, ...]]):
    """Formats with commas between."""

    name = "formats"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the formats."""
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        unknown = [name for name in names if name not in FORMATS]
        if unknown:
            self.fail(f"{unknown[0]!r} is none of {', '.join(FORMATS)}.", param, ctx)
        if "ndjson" not in names:
            self.fail("ndjson must be among them: it is what can be verified.", param, ctx)
        return names


@click.command(
    "export",
    epilog="Example: semalink ledger export --month 2026-11 --output november --with-verifier",
)
@click.option("--month", type=_Month(), help="A whole month, in East Africa Time.")
@click.option("--from", "since", type=_Instant(), help="From then; left away, from the first ever.")
@click.option("--to", "until", type=_Instant(), help="Up to then and without it; by default now.")
@click.option("--account", metavar="ACCOUNT", help="One account only.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to make; it appears when all of it is there.",
)
@click.option(
    "--format",
    "formats",
    type=_Formats(),
    default=",".join(FORMATS),
    show_default=True,
    help="How the entries are written.",
)
@click.option("--with-verifier", is_flag=True, help="Put the program that checks it beside it.")
@json_option
@data_dir_option
def export_ledger(  # noqa: PLR0913 - one for each option
    *,
    month: tuple[datetime, datetime] | None,
    since: datetime | None,
    until: datetime | None,
    account: str | None,
    output: Path,
    formats: tuple[str, ...],
    with_verifier: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Export entries of the ledger, with what proves them on any machine.

    The folder holds the entries as NDJSON and Parquet, opening and closing balances, and a signed
    manifest. `semalink ledger verifier` prints the program that checks it.
    """
    if month is not None:
        if since or until:
            fail("--month is --from and --to at once: give either.", exit_codes.USAGE)
        since, until = month
    account_id = None if account is None else parse_id(ACCOUNT_PREFIX, account)
    if account is not None and account_id is None:
        fail(f"{account} is not the id of an account.", exit_codes.USAGE)
    settings = read_settings(data_dir)
    signer = signer_of(settings)
    if signer is None:
        say("No signing key is set: the export is unsigned, and anyone could make another one.")
    wanted = Wanted(Range(since, until, account_id), output, formats, with_verifier)
    with _progress() as progress:
        manifest = export(settings.database_url.reveal(), wanted, signer, progress)
    if account is not None and not manifest["accounts"]:
        say(f"{account} had no entries by then.")
    _show(output, manifest, as_json=as_json)


@click.command("verifier", epilog="Example: semalink ledger verifier > verify_export.py")
def verifier() -> None:
    """Print the program that checks an export on any machine.

    It is one file for Python 3.9 or later and needs nothing but the package `cryptography`.
    """
    click.echo(VERIFIER.read_text(), nl=False)


def _show(output: Path, manifest: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json({"output": str(output), **manifest})
        return
    show_facts(
        {
            "folder": output,
            "from": manifest["from"] or "the first entry",
            "to": manifest["to"],
            "accounts": manifest["accounts"],
            "entries": manifest["entries"],
            **{
                name: f"{total['count']} entries, {format_credits(total['amount_micros'])} credits"
                for name, total in manifest["totals"].items()
            },
            "public key": manifest["public_key"],
        }
    )
    key = f" --public-key {manifest['public_key']}" if manifest["public_key"] else ""
    say(f"Check it anywhere: python {VERIFIER.name} {output}{key}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show how far it is on a terminal; silent elsewhere."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("Entries"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as shown:
        task = shown.add_task("Entries", total=None)
        yield lambda written, total: shown.update(task, completed=written, total=total)
