"""The command `doctor`."""

import asyncio
import os
from pathlib import Path

import rich_click as click

from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import end_with
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.quiet import silence_logs
from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.doctor import Finding, examine, mend_streams
from semalink_ops.runtime import utc_now


@click.command("doctor", epilog="Example: semalink doctor --json")
@click.option(
    "--mend-streams",
    "is_mending",
    is_flag=True,
    help="First make the streams and consumers as they are declared; nothing is deleted.",
)
@json_option
@data_dir_option
def doctor(*, is_mending: bool, as_json: bool, data_dir: Path) -> None:
    """Check the installation and say how to mend it.

    It looks at the settings, the database and the broker, and ends with 1 when anything is not as
    it must be.
    """
    silence_logs()
    settings = read_settings(data_dir)
    if is_mending:
        mended = asyncio.run(mend_streams(settings))
        for difference in mended:
            say(f"Mended: {difference}")
        say(f"{len(mended)} differences were mended.")
    findings = asyncio.run(examine(settings, os.environ, utc_now()))
    is_well = all(finding.ok for finding in findings)
    if as_json:
        show_json({"ok": is_well, "findings": findings})
    else:
        _show(findings)
    if not is_well:
        end_with(exit_codes.FAILED)


def _show(findings: list[Finding]) -> None:
    show_table(
        ["Part", "Check", "Result", "Detail"],
        [[one.part, one.check, "ok" if one.ok else "WRONG", one.detail] for one in findings],
    )
    for one in findings:
        if one.remedy is not None:
            say(f"{one.part}, {one.check}: {one.remedy}")
