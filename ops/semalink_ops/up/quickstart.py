"""`quickstart.json`: what runs, where, and with which keys, for scripts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink_ops.embedded.data_folder import write_private
from semalink_ops.settings import Settings
from semalink_ops.up.children import Child
from semalink_ops.up.demo import Demo
from semalink_ops.up.local_settings import HOST


class Quickstart(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file; it exists while the platform runs and every process is ready."""

    api_url: str
    dlr_url: str
    admin_url: str
    sandbox_url: str
    account_id: str
    #: Sends for credits of the account.
    api_key: str
    #: Sends to the sandbox for nothing.
    test_api_key: str
    #: Opens the admin API, as an operator with the role admin.
    admin_key: str
    platform_account_id: str
    sender: str
    #: Messages under it are promotional.
    promotional_sender: str | None
    database_url: str
    nats_url: str
    nats_monitor_url: str | None
    data_dir: str
    #: By the name of the process.
    metrics_urls: Mapping[str, str]
    ready_urls: Mapping[str, str]
    pids: Mapping[str, int]
    log_paths: Mapping[str, str]


def describe(
    settings: Settings, demo: Demo, children: Sequence[Child], data_dir: Path
) -> Quickstart:
    """Return what is so as long as the platform runs; process ids come later."""
    return Quickstart(
        api_url=f"http://{HOST}:{settings.api_port}",
        dlr_url=f"http://{HOST}:{settings.dlr_port}",
        admin_url=f"http://{HOST}:{settings.admin_port}",
        sandbox_url=settings.sandbox_url,
        account_id=format_id(ACCOUNT_PREFIX, demo.account_id),
        api_key=demo.live.secret,
        test_api_key=demo.test.secret,
        admin_key=demo.operator.secret,
        platform_account_id=format_id(ACCOUNT_PREFIX, demo.platform_account_id),
        sender=settings.shared_senders[0],
        promotional_sender=next(iter(settings.shared_promotional_senders), None),
        database_url=settings.database_url.reveal(),
        nats_url=settings.nats_url.reveal(),
        nats_monitor_url=next(iter(settings.nats_monitor_urls), None),
        data_dir=str(data_dir),
        metrics_urls={child.name: child.metrics_url for child in children},
        ready_urls={child.name: child.ready_url for child in children},
        pids={},
        log_paths={},
    )


def write_quickstart(path: Path, quickstart: Quickstart) -> None:
    """Write the file whole or not at all, for its owner only."""
    encoded = msgspec.json.format(msgspec.json.encode(quickstart), indent=2)
    write_private(path, encoded.decode() + "\n")
