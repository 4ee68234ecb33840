"""Where the settings of a command come from: the environment, or what `semalink up` wrote."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import fail
from semalink_ops.settings import PREFIX, Settings, variable
from semalink_ops.up.own_files import SETTINGS_FILE, parse_environment

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_DATA_DIR = Path("var")

_DATABASE = variable("database_url")


def data_dir_option(command: F) -> F:
    """Add the option that names the folder of `semalink up`."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_DATA_DIR,
        show_default=True,
        help="The folder in which `semalink up` keeps its data.",
    )(command)


def read_settings(data_dir: Path) -> Settings:
    """Return the settings of the environment, or of the platform that runs in the folder."""
    return Settings.from_environment(read_environment(os.environ, data_dir))


def read_environment(environment: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """Return the variables that count.

    An environment that names a database is taken alone: a part of it mixed with the secrets of
    the folder would be of two installations.
    """
    ours = {name: text for name, text in environment.items() if name.startswith(PREFIX) and text}
    if _DATABASE in ours:
        return ours
    path = data_dir / SETTINGS_FILE
    if not path.exists():
        fail(
            f"There are no settings: {_DATABASE} is not set, and {path} does not exist. "
            "Start `semalink up` in this folder, name its folder with --data-dir, "
            "or set the variables.",
            exit_codes.USAGE,
        )
    return {**_read_file(path), **ours}


def _read_file(path: Path) -> dict[str, str]:
    try:
        return parse_environment(path.read_text())
    except (OSError, ValueError) as error:
        fail(f"{path} cannot be read: {error}.", exit_codes.USAGE)
