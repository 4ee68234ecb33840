"""The command `outage`: takes an aggregator of the sandbox down, and brings it up again."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import rich_click as click

from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option, read_settings

_SECONDS_MAX = 5.0


@click.command(
    "outage",
    epilog="Example: semalink outage celcom hang\n\nExample: semalink outage celcom none",
)
@click.argument("aggregator", required=False)
@click.argument("how", required=False, type=click.Choice(["none", "refuse", "http_500", "hang"]))
@json_option
@data_dir_option
def outage(*, aggregator: str | None, how: str | None, as_json: bool, data_dir: Path) -> None:
    """Switch an aggregator of the sandbox off and on, or show which is off.

    refuse cuts connections, http_500 answers with errors, hang never answers; none ends the
    outage. Only the sandbox can be switched; real aggregators cannot.
    """
    if (aggregator is None) != (how is None):
        fail("Name an aggregator and an outage, or nothing to see all.", exit_codes.USAGE)
    url = f"{read_settings(data_dir).sandbox_url}/control"
    lines = asyncio.run(_switch(url, aggregator, how))
    if as_json:
        show_json({"items": lines})
        return
    show_table(
        ["Aggregator", "Outage", "Taken", "Lost to outages"],
        [[line["name"], line["outage"], line["taken"], line["lost"]] for line in lines],
    )


async def _switch(url: str, aggregator: str | None, how: str | None) -> list[dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=_SECONDS_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        if aggregator is not None:
            async with session.patch(f"{url}/{aggregator}", json={"outage": how}) as answer:
                if answer.status == 404:
                    detail = (await answer.json())["detail"]
                    fail(f"The sandbox has no {aggregator}. {detail}", exit_codes.NOT_FOUND)
                answer.raise_for_status()
        async with session.get(url) as answer:
            answer.raise_for_status()
            aggregators = (await answer.json())["aggregators"]
    return [
        {
            "name": name,
            "outage": line["controls"]["outage"],
            "taken": line["submissions"].get("taken", 0),
            "lost": line["submissions"].get("outage", 0),
        }
        for name, line in aggregators.items()
    ]
