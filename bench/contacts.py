"""Imports of contacts: from the first byte of the file to the last row checked, as a customer."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import whole
from bench.whole import Whole

#: Rows of the files, smallest first; the first one only warms the processes up.
ROWS = (2_000, 10_000, 100_000)
TARGET_PER_SECOND = 10_000
SECONDS_MAX = 120.0
_LOOK_SECONDS = 0.02
_PROCESSES = ("api", "relay", "worker-background")
_PREFIXES = ("70", "71", "72", "74", "79", "73", "75", "78", "10", "11", "77")
#: One row in so many names no number.
_BAD_EVERY = 250


@dataclass(frozen=True, slots=True)
class Figures:
    """What one import came to."""

    rows: int
    upload_seconds: float
    seconds: float
    invalid: int
    #: The most memory that each process has held so far, in MiB.
    peak_mib: dict[str, int]


def measure(*, quick: bool) -> None:
    """Print how fast files are imported, and that no process grows with them."""
    print("\nImport of contacts (CSV with two attributes), from upload start to import finished")
    for figures in asyncio.run(_measure(ROWS[:2] if quick else ROWS))[1:]:
        peaks = ", ".join(f"{name} {mib} MiB" for name, mib in figures.peak_mib.items())
        print(
            f"  {figures.rows:>8} rows {figures.rows / figures.seconds:>9.0f}/s"
            f"  upload {figures.upload_seconds:>5.2f} s  all {figures.seconds:>6.2f} s"
            f"  invalid {figures.invalid}  peak {peaks}  target {TARGET_PER_SECOND}/s",
            flush=True,
        )


async def _measure(sizes: tuple[int, ...]) -> list[Figures]:
    async with whole.running() as platform:
        return [await _import(platform, rows) for rows in sizes]


async def _import(platform: Whole, rows: int) -> Figures:
    made = await platform.ask("/v1/contact-lists", {"name": f"{rows} rows"}, expected=201)
    url = f"{platform.quickstart['api_url']}/v1/contact-lists/{made['id']}/imports"
    file = make_file(rows)
    started = time.perf_counter()
    async with platform.session.post(url, data=file, headers={"Content-Type": "text/csv"}) as said:
        taken = await said.json()
        if said.status != 202:
            raise SystemExit(f"An import was answered {said.status}: {taken}")
    uploaded = time.perf_counter()
    ended = await _until_ended(platform, f"{url}/{taken['id']}")
    seconds = time.perf_counter() - started
    counts = ended["rows"]
    if ended["state"] != "finished" or counts["checked"] != rows:
        raise SystemExit(f"An import came to {ended}")
    pids = platform.quickstart["pids"]
    peak_mib = {name: _peak_mib(pids[name]) for name in _PROCESSES}
    return Figures(rows, uploaded - started, seconds, counts["invalid"], peak_mib)


async def _until_ended(platform: Whole, url: str) -> Any:
    give_up_at = time.monotonic() + SECONDS_MAX
    while time.monotonic() < give_up_at:
        async with platform.session.get(url) as said:
            view = await said.json()
        if view["state"] != "running":
            return view
        await asyncio.sleep(_LOOK_SECONDS)
    raise SystemExit(f"An import is still running after {SECONDS_MAX:g} s.")


def make_file(rows: int) -> bytes:
    """Return a file of so many rows, every 250th of which names no number."""
    lines = ["phone,name,town"]
    lines += [
        f"12{row % 10},Nobody,Nowhere"
        if row % _BAD_EVERY == 0
        else f"0{_PREFIXES[row % len(_PREFIXES)]}{row:07d},Customer {row},Nakuru"
        for row in range(rows)
    ]
    return ("\n".join(lines) + "\n").encode()


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024
