"""Starts what the bench measures: real servers and real processes, in a folder that goes away."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from bench import baselines
from semalink.application.accounts import IssueApiKey, IssuedKey
from semalink.domain.cause import Cause
from semalink.web.api_key import make_key
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.migrate import upgrade
from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres
from semalink_ops.runtime import utc_now

PEPPER = "bench-pepper-that-guards-nothing-at-all"


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers behind the designs."""

    postgres: EmbeddedPostgres
    nats: EmbeddedNats

    def environment(self, **ports: int) -> dict[str, str]:
        """Return the environment of a process of ours."""
        return {
            **os.environ,
            "SEMALINK_DATABASE_URL": self.postgres.dsn,
            "SEMALINK_NATS_URL": self.nats.url,
            "SEMALINK_KEY_PEPPER": PEPPER,
            **{f"SEMALINK_{name.upper()}": str(port) for name, port in ports.items()},
        }

    def set_flush_delay(self, microseconds: int) -> None:
        """Make every flush wait so long, to stand for a cloud disk; 0 is the disk as it is."""
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET commit_delay = {microseconds}")
            connection.execute("ALTER SYSTEM SET commit_siblings = 0")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def servers() -> Iterator[Servers]:
    """Run PostgreSQL and NATS with an empty database of ours."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="semalink-bench-")))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres", free_port()))
        nats = stack.enter_context(EmbeddedNats(folder / "nats", free_port(), free_port()))
        upgrade(postgres.dsn)
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(baselines.SCHEMA)
        yield Servers(postgres, nats)


@contextmanager
def process(arguments: list[str], environment: dict[str, str], ready_url: str) -> Iterator[int]:
    """Run a process until the block ends; yields its id once it answers."""
    child = subprocess.Popen([sys.executable, *arguments], env=environment)
    try:
        _wait_until_ready(child, ready_url)
        yield child.pid
    finally:
        child.terminate()
        child.wait(30)


async def issue_key(ledger: GroupCommit, account_id: UUID) -> str:
    """Issue a live key for an account and return it."""
    new = make_key("live", PEPPER.encode())
    issued = IssuedKey(
        uuid7(), "bench", ["messages:send"], "live", new.key_hash.hex(), new.last_four
    )
    cause = Cause("operator:bench", utc_now(), "req_bench")
    await ledger.execute(IssueApiKey(account_id, issued, cause))
    return new.secret


def _wait_until_ready(child: subprocess.Popen[bytes], url: str) -> None:
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        if child.poll() is not None:
            raise SystemExit(f"A process ended with {child.returncode} before it was ready.")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status < 500:
                    return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("A process was not ready within 30 seconds.")
