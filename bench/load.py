"""Drives wrk and reads what it says."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_SCRIPT = Path(__file__).with_name("send.lua")


@dataclass(frozen=True, slots=True)
class Target:
    """One design over HTTP."""

    name: str
    url: str
    path: str
    authorization: str = "none"


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the load generator."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def require_wrk() -> None:
    """Stop with a hint when the load generator is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install the package 'wrk' of your distribution.")


def drive(target: Target, *, connections: int, seconds: int) -> Result:
    """Send from so many connections for so long."""
    run = f"{target.name}-{connections}-{time.time_ns()}"
    output = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            str(_SCRIPT),
            target.url,
            "--",
            target.path,
            target.authorization,
            run,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    rate, p50, p99, _, errors = line.split()[1:]
    return Result(float(rate), float(p50), float(p99), int(errors))


def compare(
    targets: list[Target], *, connections: int, seconds: int, rounds: int
) -> dict[str, Result]:
    """Drive each target in turn, round by round, and return the medians."""
    results: dict[str, list[Result]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            results[target.name].append(drive(target, connections=connections, seconds=seconds))
    return {name: _median(runs) for name, runs in results.items()}


def _median(runs: list[Result]) -> Result:
    return Result(
        median(run.requests_per_second for run in runs),
        median(run.p50_ms for run in runs),
        median(run.p99_ms for run in runs),
        sum(run.errors for run in runs),
    )
