"""Exports a range of the ledger into a folder that can be checked anywhere."""

import os
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from semalink.domain.checkpoint import SignedCheckpoint
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink.domain.merkle import Tree
from semalink_adapters.postgres.checkpoints import Signer
from semalink_adapters.postgres.hash_chain import GENESIS
from semalink_adapters.postgres.ledger_export import Cut, Span
from semalink_ops.ledger_tools.export_files import (
    FORMATS,
    Line,
    NdjsonWriter,
    OpeningLine,
    fingerprint,
    line_of,
)
from semalink_ops.ledger_tools.export_source import ExportImpossible, Range, Source, open_source

FORMAT = "semalink-ledger-export-1"
#: What is signed is this and then the manifest, so that it passes for nothing else.
MANIFEST_CONTEXT = b"semalink ledger export 1\n"
VERIFIER = Path(__file__).with_name("verify_export.py")

_NOTHING = {"posted_micros": 0, "reserved_micros": 0, "credit_limit_micros": 0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported and where to."""

    range: Range
    folder: Path
    formats: tuple[str, ...] = ("ndjson", "parquet")
    with_verifier: bool = False


@dataclass(slots=True)
class _Account:
    """What the export says of one account."""

    cut: Cut
    hash_before_first: str = GENESIS.hex()
    opening: dict[str, int] = field(default_factory=_NOTHING.copy)
    head_hash: str = GENESIS.hex()
    closing: dict[str, int] = field(default_factory=_NOTHING.copy)

    def open_with(self, line: Line) -> None:
        """Take over what the account had before the range."""
        self.hash_before_first = self.head_hash = line.entry_hash
        self.opening = self.closing = _balance_after(line)

    def close_with(self, line: Line) -> None:
        """Take over what the account has after the range."""
        self.head_hash = line.entry_hash
        self.closing = _balance_after(line)


def export(
    database_url: str, wanted: Wanted, signer: Signer | None, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write the export and return its manifest; the folder appears only when it is whole.

    Progress is told as entries written and entries in all.
    """
    partial = _partial_of(wanted.folder)
    with open_source(database_url, wanted.range, signer) as source:
        partial.mkdir(parents=True, exist_ok=True)
        accounts = {cut.account_id: _Account(cut) for cut in source.cuts}
        _write_opening(partial, source, accounts)
        totals = _write_entries(partial, source, accounts, wanted.formats, progress)
        _write_bridge(partial, source)
        with NdjsonWriter(partial / "accounts.ndjson") as file:
            for line in _account_lines(source, accounts):
                file.write([line])
        manifest = _manifest(partial, source, totals, signer)
        if wanted.range.account_id is not None:
            manifest["account"] = format_id(ACCOUNT_PREFIX, wanted.range.account_id)
    _finish(partial, wanted, manifest, signer)
    return manifest


def _partial_of(folder: Path) -> Path:
    """Return where the export is made until it is whole."""
    whole = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link away
    partial = whole.with_name(f"{whole.name}.partial")
    for path, what in ((whole, "something in it"), (partial, "an export that did not finish")):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ExportImpossible(f"{path} has {what}. Remove it, or name another --output.")
    return partial


def _write_opening(folder: Path, source: Source, accounts: dict[Any, _Account]) -> None:
    """Write the last entry before the range of each account, which proves what it opens with."""
    spans = [Span(cut.account_id, cut.before, cut.before) for cut in source.cuts if cut.before]
    with NdjsonWriter(folder / "opening.ndjson") as file:
        for rows in source.snapshot.entries(spans, with_previous=True):
            lines = []
            for row in rows:
                line = line_of(row)
                accounts[row.account_id].open_with(line)
                lines.append(OpeningLine(row.previous_hash.hex(), line))
            file.write(lines)


def _write_entries(
    folder: Path,
    source: Source,
    accounts: dict[Any, _Account],
    formats: Sequence[str],
    progress: Callable[[int, int], None],
) -> dict[str, dict[str, int]]:
    """Write the entries in every format, and return counts and sums by name."""
    spans = [Span(cut.account_id, cut.before + 1, cut.last) for cut in source.cuts]
    total, written = sum(cut.last - cut.before for cut in source.cuts), 0
    totals: dict[str, dict[str, int]] = {}
    with ExitStack() as stack:
        writers = [FORMATS[name](folder / f"entries.{name}") for name in formats]
        for writer in writers:
            stack.callback(writer.close)
        for rows in source.snapshot.entries(spans):
            lines = []
            for row in rows:
                line = line_of(row)
                lines.append(line)
                accounts[row.account_id].close_with(line)
                of_name = totals.setdefault(line.name, {"count": 0, "amount_micros": 0})
                of_name["count"] += 1
                of_name["amount_micros"] += line.amount_micros or 0
            for writer in writers:
                writer.write(lines)
            written += len(rows)
            progress(written, total)
    return dict(sorted(totals.items()))


def _write_bridge(folder: Path, source: Source) -> None:
    """Write what leads from the end of the range to the checkpoint, where that is later."""
    reached = {leaf.account_id: leaf.version for leaf in source.leaves}
    spans = [
        Span(cut.account_id, cut.last + 1, reached[cut.account_id])
        for cut in source.cuts
        if reached.get(cut.account_id, 0) > cut.last
    ]
    with NdjsonWriter(folder / "bridge.ndjson") as file:
        for rows in source.snapshot.entries(spans):
            file.write([line_of(row) for row in rows])


def _account_lines(source: Source, accounts: dict[Any, _Account]) -> Iterator[dict[str, Any]]:
    tree = Tree([leaf.encode() for leaf in source.leaves])
    places = {leaf.account_id: place for place, leaf in enumerate(source.leaves)}
    for account in accounts.values():
        cut = account.cut
        facts: dict[str, Any] = {
            "account": format_id(ACCOUNT_PREFIX, cut.account_id),
            "first_version": cut.before + 1,
            "last_version": cut.last,
            "entries": cut.last - cut.before,
            "hash_before_first": account.hash_before_first,
            "head_hash": account.head_hash,
            "opening": account.opening,
            "closing": account.closing,
        }
        if source.checkpoint is not None:
            place = places[cut.account_id]
            facts["checkpoint_version"] = source.leaves[place].version
            facts["leaf_index"] = place
            facts["inclusion_proof"] = [hashed.hex() for hashed in tree.inclusion_proof(place)]
        yield facts


def _manifest(
    folder: Path, source: Source, totals: dict[str, dict[str, int]], signer: Signer | None
) -> dict[str, Any]:
    signed = source.checkpoint
    return {
        "format": FORMAT,
        "from": None if source.since is None else _text(source.since),
        "to": _text(source.until),
        # One account only, where that was asked for.
        "account": None,
        "accounts": len(source.cuts),
        "entries": sum(of_name["count"] for of_name in totals.values()),
        "totals": totals,
        "files": [fingerprint(path) for path in sorted(folder.iterdir())],
        "public_key": None if signer is None else b64encode(signer.public_key).decode(),
        "checkpoint": None if signed is None else _checkpoint(signed),
    }


def _checkpoint(signed: SignedCheckpoint) -> dict[str, Any]:
    checkpoint = signed.checkpoint
    return {
        "number": checkpoint.number,
        "taken_at": _text(checkpoint.taken_at),
        "account_count": checkpoint.account_count,
        "root": checkpoint.root.hex(),
        "previous_hash": checkpoint.previous_hash.hex(),
        "public_key": b64encode(signed.public_key).decode(),
        "signature": signed.signature.hex(),
    }


def _finish(partial: Path, wanted: Wanted, manifest: dict[str, Any], signer: Signer | None) -> None:
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    if signer is not None:
        signature = signer.sign(MANIFEST_CONTEXT + raw)
        (partial / "manifest.sig").write_text(f"{signature.hex()}\n")
    if wanted.with_verifier:
        shutil.copyfile(VERIFIER, partial / VERIFIER.name)
    (partial / "manifest.json").write_bytes(raw)
    for path in (*partial.iterdir(), partial):
        _flush(path)
    partial.rename(wanted.folder)
    _flush(partial.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _balance_after(line: Line) -> dict[str, int]:
    return {
        "posted_micros": line.posted_after_micros,
        "reserved_micros": line.reserved_after_micros,
        "credit_limit_micros": line.credit_limit_after_micros,
    }


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
