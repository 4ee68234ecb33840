"""The commands of `projections`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import rich_click as click
from sqlalchemy import Engine, NullPool, create_engine

from semalink.projections.comparing import Comparison, LiveStandsStill
from semalink.projections.projection import Projection
from semalink.projections.rebuilding import FindArchived, Rebuild, open_rebuild
from semalink.projections.registry import BY_NAME, PROJECTIONS
from semalink.projections.shadow import Pace
from semalink.projections.standing import standings
from semalink.projections.verifying import verify as verify_projection
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_ops.archiving.reading import archived_pages
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import end_with, fail
from semalink_ops.cli.load_progress import shown_progress
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option, read_settings

_NAME = click.argument("name", type=click.Choice(list(BY_NAME)), metavar="NAME")


@click.group("projections")
def projections() -> None:
    """List, rebuild and verify the read models.

    A read model can be thrown away: the logs hold everything that is in it.
    """


@projections.command("list", epilog="Example: semalink projections list --json")
@json_option
@data_dir_option
def list_projections(*, as_json: bool, data_dir: Path) -> None:
    """List the read models: how far behind, failing, or being rebuilt."""
    with _engine(data_dir) as engine, engine.connect() as tx:
        found = list(standings(tx, PROJECTIONS))
    if as_json:
        show_json({"items": found})
        return
    show_table(
        ("Name", "State", "Lag, events", "Lag, s", "Rows", "Cause"),
        [
            (one.name, one.state, one.lag_events, f"{one.lag_seconds:.1f}", one.rows, one.cause)
            for one in found
        ],
    )


@projections.command("rebuild", epilog="Example: semalink projections rebuild messages --yes")
@_NAME
@click.option("--rate", type=click.IntRange(1), help="Read no more events a second than this.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--cancel", is_flag=True, help="Drop what a rebuild has built so far.")
@click.option(
    "--accept-differences",
    is_flag=True,
    help="Swap also when the new rows are not those of the live one.",
)
@json_option
@data_dir_option
def rebuild(  # noqa: PLR0913 - one argument an option
    *,
    name: str,
    rate: int | None,
    yes: bool,
    cancel: bool,
    accept_differences: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Build a read model anew beside the live one, compare both and swap them.

    Everything goes on meanwhile, and what was built stays when this is interrupted: the same
    command goes on with it. Differences are reported, and end it with 6 before the swap; a rebuild
    after a mistake was mended finds some, and takes --accept-differences.
    """
    projection = BY_NAME[name]
    with _engine(data_dir) as engine:
        if cancel:
            _cancel(engine, projection)
            return
        if not yes:
            click.confirm(
                f"Rebuild {name} beside the live one and swap them?", abort=True, err=True
            )
        try:
            archived = partial(archived_pages, read_settings(data_dir))
            found = _rebuild(
                engine, projection, Pace(rate), archived, accept_differences=accept_differences
            )
        except KeyboardInterrupt:
            say(
                "What was built is kept. Go on with: "
                f"semalink projections rebuild {name} --yes\n"
                f"Or drop it with: semalink projections rebuild {name} --cancel"
            )
            raise
    if found is not None and found.difference_count and not accept_differences:
        _show(name, found, as_json=as_json)
        say(
            f"{name} was not swapped: {found.difference_count} rows differ from the live ones. "
            "When that is what the rebuild is for, run it again with --accept-differences; "
            f"else `semalink projections rebuild {name} --cancel`."
        )
        end_with(exit_codes.DIFFERENCES)
    if as_json:
        show_json({"name": name, "swapped": True, "comparison": found})
    else:
        say(f"{name} was rebuilt and swapped.")


@projections.command("verify", epilog="Example: semalink projections verify messages --sample 1000")
@_NAME
@click.option(
    "--sample", type=click.IntRange(1), help="Replay only so many streams, chosen by chance."
)
@click.option("--rate", type=click.IntRange(1), help="Read no more events a second than this.")
@json_option
@data_dir_option
def verify(
    *, name: str, sample: int | None, rate: int | None, as_json: bool, data_dir: Path
) -> None:
    """Compare a read model with a replay of its log; end with 6 when rows differ.

    The replay goes into tables of its own, which are dropped at the end.
    """
    archived = partial(archived_pages, read_settings(data_dir))
    with _engine(data_dir) as engine, shown_progress(f"verify {name}") as tell:
        pace = Pace(rate, tell)
        found = verify_projection(
            engine, BY_NAME[name], EventMapper.read, pace, sample, archived=archived
        )
    _show(name, found, as_json=as_json)
    if found.difference_count:
        end_with(exit_codes.DIFFERENCES)


@contextmanager
def _engine(data_dir: Path) -> Iterator[Engine]:
    url = read_settings(data_dir).database_url.reveal()
    # No pool: locks and settings of a session end with it.
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool, hide_parameters=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _rebuild(
    engine: Engine,
    projection: Projection,
    pace: Pace,
    archived: FindArchived,
    *,
    accept_differences: bool,
) -> Comparison | None:
    with (
        shown_progress(f"rebuild {projection.name}") as tell,
        open_rebuild(
            engine, projection, EventMapper.read, replace(pace, tell=tell), archived=archived
        ) as opened,
    ):
        assert opened is not None, "a new one is begun when there is none"
        if opened.is_resumed:
            say(
                f"Going on with the rebuild that was begun before ({projection.name}_v"
                f"{opened.number})."
            )
        opened.shadow.load()
        opened.shadow.follow()
        found = _compare(opened, accept_differences=accept_differences)
        if found is None or not found.difference_count or accept_differences:
            if found is not None and found.difference_count:
                say(f"{found.difference_count} rows differ from the live ones; accepted.")
            opened.swap()
        return found


def _compare(opened: Rebuild, *, accept_differences: bool) -> Comparison | None:
    try:
        return opened.compare()
    except LiveStandsStill:
        if not accept_differences:
            raise
        say("The live one stands still and cannot be compared; accepted.")
        return None


def _cancel(engine: Engine, projection: Projection) -> None:
    with open_rebuild(engine, projection, EventMapper.read, Pace(), is_new_allowed=False) as opened:
        if opened is None:
            fail(f"No rebuild of {projection.name} is under way.", exit_codes.NOT_FOUND)
        opened.cancel()
    say(f"The rebuild of {projection.name} was given up; the live one is as it was.")


def _show(name: str, found: Comparison, *, as_json: bool) -> None:
    if as_json:
        show_json({"name": name, "difference_count": found.difference_count, "items": found.named})
        return
    if not found.difference_count:
        say(f"{name} is what a replay makes of its log.")
        return
    show_table(
        ("Table", "Key", "In the live one"), [(d.table, d.key, d.fault) for d in found.named]
    )
    if found.difference_count > len(found.named):
        say(f"… and {found.difference_count - len(found.named)} more.")
