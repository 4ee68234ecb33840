"""Exports a ledger and verifies the export: entries a second, and memory that does not grow."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import entries
from semalink_adapters.ed25519 import Signer
from semalink_adapters.postgres.migrate import upgrade
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres
from semalink_ops.ledger_tools.export import VERIFIER, Wanted, export
from semalink_ops.ledger_tools.export_source import Range

ACCOUNTS = 20
SIZES = (200_000, 1_000_000)


def measure(*, quick: bool) -> None:
    """Print the figures of two sizes, each in a process of its own."""
    print("\nLedger export, NDJSON and Parquet, and its verifier")
    for size in SIZES:
        count = size // 10 if quick else size
        with tempfile.TemporaryDirectory(prefix="semalink-bench-") as name:
            _measure(Path(name), count)


def _measure(folder: Path, count: int) -> None:
    with EmbeddedPostgres(folder / "postgres", free_port()) as postgres:
        upgrade(postgres.dsn)
        entries.load(
            postgres.dsn, accounts=ACCOUNTS, entries_each=count // ACCOUNTS, at=datetime.now(UTC)
        )
        output = folder / "export"
        figures = _run([sys.executable, "-m", "bench.export", postgres.dsn, str(output)])
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(output)], check=True, stdout=subprocess.DEVNULL
    )
    verified = count / (time.perf_counter() - started)
    print(
        f"  {count:>9,} entries  export {figures['per_second']:>8,.0f}/s"
        f" ({figures['cpu_per_second']:,.0f} a second of its CPU)"
        f"  peak {figures['peak_mib']:>5.0f} MiB  verifier {verified:>8,.0f}/s",
        flush=True,
    )


def _run(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _export(database_url: str, output: Path) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    manifest = export(
        database_url, Wanted(Range(None, None), output), Signer(bytes(32)), lambda *_: None
    )
    count, elapsed = manifest["entries"], time.perf_counter() - started
    figures = {
        "per_second": count / elapsed,
        "cpu_per_second": count / (time.process_time() - cpu),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    _export(sys.argv[1], Path(sys.argv[2]))
