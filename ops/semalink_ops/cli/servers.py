"""The commands that answer HTTP: api, dlr-intake, admin, sandbox."""

from importlib import import_module
from pathlib import Path

import rich_click as click

from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.settings import Settings

_reuse_port_option = click.option(
    "--reuse-port", is_flag=True, help="Share the port with other processes of the same kind."
)
_health_port_option = click.option(
    "--health-port",
    type=click.IntRange(1, 65_535),
    help="Answer on this port as well, so that a process that shares its port can be asked.",
)


@click.command("api", epilog="Example: semalink api")
@_reuse_port_option
@_health_port_option
@data_dir_option
def api(*, reuse_port: bool, health_port: int | None, data_dir: Path) -> None:
    """Serve the customers' API.

    It listens on SEMALINK_HOST and SEMALINK_API_PORT until SIGTERM or Ctrl-C, and then lets every
    request that it took end.
    """
    settings = read_settings(data_dir)
    ports = [(settings.api_port, reuse_port)]
    if health_port is not None:
        ports.append((health_port, False))
    _serve("api", settings, "build_api", ports)


@click.command("dlr-intake", epilog="Example: semalink dlr-intake")
@data_dir_option
def dlr_intake(*, data_dir: Path) -> None:
    """Take delivery reports from aggregators.

    It listens on SEMALINK_HOST and SEMALINK_DLR_PORT. A report is stored before it is answered.
    """
    settings = read_settings(data_dir)
    _serve("dlr-intake", settings, "build_intake", [(settings.dlr_port, False)])


@click.command("admin", epilog="Example: semalink admin")
@data_dir_option
def admin(*, data_dir: Path) -> None:
    """Serve the admin API.

    It listens on SEMALINK_HOST and SEMALINK_ADMIN_PORT, apart from the customers' API.
    """
    settings = read_settings(data_dir)
    _serve("admin", settings, "build_admin", [(settings.admin_port, False)])


@click.command("sandbox", epilog="Example: semalink sandbox")
@data_dir_option
def sandbox(*, data_dir: Path) -> None:
    """Run a local aggregator that sends nothing.

    It speaks both wire formats on SEMALINK_SANDBOX_PORT; docs/guides/sandbox.md has its magic
    numbers and switches.
    """
    import_module("semalink_ops.sandbox_process").serve(read_settings(data_dir))


def _serve(process: str, settings: Settings, factory: str, ports: list[tuple[int, bool]]) -> None:
    # Imported by name, because each of these commands needs only a part of what they all need.
    processes = import_module("semalink_ops.processes")
    # Bound before the rest is imported, so that a taken port is said at once.
    listeners = [processes.listen(settings.host, port, shared=shared) for port, shared in ports]
    build = getattr(import_module("semalink_ops.asgi"), factory)
    processes.serve(process, settings, build, listeners)
