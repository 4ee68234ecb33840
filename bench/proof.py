"""How fast the ledger is verified and replayed, and that memory does not grow with it."""

import subprocess
import sys

from bench import entries, platform
from semalink_ops.runtime import utc_now

#: The second size is four times the first.
ACCOUNTS = (10, 40)
ENTRIES_EACH = 25_000

_SCRIPT = """
import resource, sys, time
from semalink_ops.cli import run
started = time.perf_counter()
status = run(sys.argv[1:])
elapsed = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_SELF)
print(status, elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)
"""


def measure(*, quick: bool) -> None:
    """Print entries a second and the peak of memory at two sizes, in a database of its own."""
    print("\nProof of the ledger, one process")
    with platform.servers() as servers:
        _measure_sizes(servers, quick=quick)


def _measure_sizes(servers: platform.Servers, *, quick: bool) -> None:
    loaded = 0
    each = ENTRIES_EACH // 20 if quick else ENTRIES_EACH
    for accounts in ACCOUNTS:
        more = accounts - loaded
        entries.load(servers.postgres.dsn, accounts=more, entries_each=each, at=utc_now())
        loaded = accounts
        for command in ("verify", "replay"):
            total, seconds, cpu, peak = _run(servers, command)
            print(
                f"  {command:<8}{total:>9} entries{total / seconds:>9.0f}/s"
                f"{total / cpu:>9.0f} a second of its CPU  peak {peak:>5.0f} MB",
                flush=True,
            )


def _run(servers: platform.Servers, command: str) -> tuple[int, float, float, float]:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, "ledger", command],
        env=servers.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    status, *figures = done.stderr.strip().splitlines()[-1].split()
    if status != "0":
        raise SystemExit(f"ledger {command} ended with {status}: {done.stdout[-2_000:]}")
    # The last line says how many entries there were.
    seconds, cpu, peak = map(float, figures)
    return int(done.stdout.strip().splitlines()[-1].split()[0]), seconds, cpu, peak


if __name__ == "__main__":
    measure(quick="--quick" in sys.argv)
