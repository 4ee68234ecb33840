"""``make bench``: prints every figure beside its baseline."""

import argparse
import asyncio
from collections.abc import Callable

from bench import (
    archive,
    campaign,
    contacts,
    end_to_end,
    export,
    failover,
    fair_share,
    feed,
    hot_account,
    ledger,
    load,
    platform,
    point_in_time,
    priority,
    projections,
    proof,
    rate_limiter,
    reported,
    webhooks,
)
from bench.baselines import DATABASE_URL, PORT
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_ops.embedded.ports import free_port

CONNECTIONS = (16, 64, 256)
FLUSH_DELAYS_MICROSECONDS = (0, 1_000)
SECONDS = 5
ROUNDS = 2
LEDGER_TOTAL = 20_000
MANY_ACCOUNTS = 10_000


def main() -> None:
    """Run everything, or what is named behind ``--only``; everything takes some twenty minutes."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a first look")
    parser.add_argument("--only", metavar="PARTS", help=f"some of {', '.join(sorted(PARTS))}")
    asked = parser.parse_args()
    only = PARTS if asked.only is None else frozenset(asked.only.split(","))
    if only - PARTS:
        parser.error(f"no such part: {', '.join(sorted(only - PARTS))}")
    if only & ON_SERVERS.keys():
        with platform.servers() as servers:
            for name, part in ON_SERVERS.items():
                if name in only:
                    part(servers, quick=asked.quick)
    for name, alone in ALONE.items():
        if name in only:
            alone(quick=asked.quick)


def _measure_reservations(servers: platform.Servers, *, quick: bool) -> None:
    asyncio.run(_measure_ledger(servers, quick=quick))


def _measure_hot_account(servers: platform.Servers, *, quick: bool) -> None:
    hot_account.measure(servers.postgres.dsn, quick=quick)


def _measure_point_in_time(servers: platform.Servers, *, quick: bool) -> None:
    point_in_time.measure(servers.postgres.dsn, quick=quick)


def _measure_http(servers: platform.Servers, *, quick: bool) -> None:
    load.require_wrk()
    baseline_port, api_port = free_port(), free_port()
    key = asyncio.run(_open_account(servers))
    environment = servers.environment(api_port=api_port)
    baseline_environment = {
        **environment,
        DATABASE_URL: servers.postgres.dsn,
        PORT: str(baseline_port),
    }
    baseline = f"http://127.0.0.1:{baseline_port}"
    ours = f"http://127.0.0.1:{api_port}"
    targets = [
        load.Target("no-op route", baseline, "/noop"),
        load.Target("atomic UPDATE, pool of 64", baseline, "/atomic"),
        load.Target("one CTE, pool of 2", baseline, "/cte"),
        load.Target("SemaLink", ours, "/v1/messages", f"Bearer {key}"),
    ]
    with (
        platform.process(["-m", "bench.baselines"], baseline_environment, f"{baseline}/noop"),
        platform.process(["-m", "semalink_ops.cli", "api"], environment, f"{ours}/health/ready"),
    ):
        for delay in FLUSH_DELAYS_MICROSECONDS:
            servers.set_flush_delay(delay)
            for connections in CONNECTIONS:
                results = load.compare(
                    targets,
                    connections=connections,
                    seconds=2 if quick else SECONDS,
                    rounds=1 if quick else ROUNDS,
                )
                _print_http(delay, connections, results)
    servers.set_flush_delay(0)


def _print_http(delay: int, connections: int, results: dict[str, load.Result]) -> None:
    disk = "disk as it is" if delay == 0 else f"+{delay / 1000:g} ms a flush"
    print(f"\nPOST, one account, {connections} connections, {disk}")
    ours = results["SemaLink"].requests_per_second
    for name, result in results.items():
        print(
            f"  {name:<26}{result.requests_per_second:>8.0f}/s"
            f"  p50 {result.p50_ms:>7.1f} ms  p99 {result.p99_ms:>7.1f} ms"
            f"  errors {result.errors}  ours/it {ours / result.requests_per_second:>6.2f}",
            flush=True,
        )


async def _measure_ledger(servers: platform.Servers, *, quick: bool) -> None:
    total = LEDGER_TOTAL // 10 if quick else LEDGER_TOTAL
    many = MANY_ACCOUNTS // 10 if quick else MANY_ACCOUNTS
    print("Reservations with their messages, without HTTP")
    async with GroupCommit(servers.postgres.dsn) as group_commit:
        hot = await ledger.open_accounts(group_commit, 1)
        spread = await ledger.open_accounts(group_commit, many)
        await ledger.reserve(group_commit, hot, total=2_000, in_flight=64)
        for name, accounts, in_flight, count in (
            ("one account, one at a time", hot, 1, total // 20),
            ("one account, 64 in flight", hot, 64, total),
            ("one account, 256 in flight", hot, 256, total),
            (f"{many} accounts, 256 in flight", spread, 256, total),
        ):
            figures = await ledger.reserve(group_commit, accounts, total=count, in_flight=in_flight)
            print(
                f"  {name:<32}{figures.per_second:>8.0f}/s  p50 {figures.p50_ms:>6.1f} ms"
                f"  p99 {figures.p99_ms:>6.1f} ms",
                flush=True,
            )


async def _open_account(servers: platform.Servers) -> str:
    async with GroupCommit(servers.postgres.dsn) as group_commit:
        [account_id] = await ledger.open_accounts(group_commit, 1)
        return await platform.issue_key(group_commit, account_id)


#: What runs on servers of the bench, and what brings its own.
ON_SERVERS: dict[str, Callable[..., None]] = {
    "reservations": _measure_reservations,
    "hot-account": _measure_hot_account,
    "point-in-time": _measure_point_in_time,
    "http": _measure_http,
    "webhooks": webhooks.measure,
    "rate-limiter": rate_limiter.measure,
}
ALONE: dict[str, Callable[..., None]] = {
    "export": export.measure,
    "proof": proof.measure,
    "projections": projections.measure,
    "feed": feed.measure,
    "archive": archive.measure,
    "end-to-end": end_to_end.measure,
    "priority": priority.measure,
    "contacts": contacts.measure,
    "campaign": campaign.measure,
    "fair-share": fair_share.measure,
    "reported": reported.measure,
    "failover": failover.measure,
}
PARTS = frozenset(ON_SERVERS) | frozenset(ALONE)


if __name__ == "__main__":
    main()
