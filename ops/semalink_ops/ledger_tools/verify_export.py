"""Checks an export of the SemaLink ledger on any machine, without SemaLink.

    python verify_export.py DIR [--public-key BASE64]

It needs Python 3.9 or later and, for signatures, the package `cryptography`.
It reads every file once, holds one line of each at a time, and checks: sizes and SHA-256 of the
files; the hash chain of every account; every balance, worked out anew from what each kind of entry
does; the readable columns against the state that was hashed; counts, sums, opening and closing
balances; the proof that each account is under the checkpoint; both signatures.

Its rules are written apart from SemaLink's own code on purpose: a mistake in one is then seen by
the other. Parquet files are checked by size and SHA-256 alone; the NDJSON holds the same entries.

Exit status: 0 all is well, 1 something is wrong, 2 it could not be run.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_MAX = 100
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
MANIFEST_CONTEXT = b"semalink ledger export 1\n"
GENESIS = bytes(32)
#: What each kind of entry does to posted and reserved, in amounts.
EFFECTS = {
    "created": (0, 0),
    "topped_up": (1, 0),
    "reserved": (0, 1),
    "charged": (-1, -1),
    "released": (0, -1),
    "reservation_expired": (0, -1),
    "refunded": (1, 0),
    "adjusted": (1, 0),
    "limit_set": (0, 0),
    "transferred_out": (-1, 0),
    "transferred_in": (1, 0),
    "limit_neared": (0, 0),
}
SETS_LIMIT = ("created", "limit_set")
WITHOUT_AMOUNT = ("created", "limit_set", "limit_neared")
BALANCES = ("posted_micros", "reserved_micros", "credit_limit_micros")


class Findings:
    """What is wrong: the first ones are shown, all are counted."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, where: str, what: str) -> None:
        """Take one in."""
        self.count += 1
        if self.count <= SHOWN_MAX:
            print(f"WRONG  {where}: {what}")
        elif self.count == SHOWN_MAX + 1:
            print("WRONG  ... and more, which are only counted")


class Lines:
    """The lines of one file, with the next one known before it is taken."""

    def __init__(self, folder: Path, name: str, findings: Findings) -> None:
        self.name = name
        self.number = 0
        self._findings = findings
        path = folder / name
        self._file = path.open("rb") if path.is_file() else None
        self.next: dict[str, Any] | None = None
        self.take()

    def take(self) -> None:
        """Go on to the next line that can be read."""
        self.next = None
        while self._file is not None and self.next is None:
            raw = self._file.readline()
            if not raw:
                self._file.close()
                return
            self.number += 1
            try:
                self.next = read_object(raw)
            except ValueError as error:
                self._findings.add(f"{self.name} line {self.number}", f"cannot be read: {error}")

    def wrong(self, line: dict[str, Any], what: str) -> None:
        """Say what is wrong with the line at hand."""
        entry = line.get("entry", line)
        place = f"account {entry.get('account')}, version {entry.get('version')}"
        self._findings.add(f"{self.name} line {self.number}, {place}", what)


class Chain:
    """One account, followed from entry to entry."""

    def __init__(self, account: dict[str, Any]) -> None:
        self.name = str(account["account"])
        if not re.fullmatch("acct_[0-9a-f]{32}", self.name):
            raise ValueError("the name of an account is acct_ and 32 hexadecimal digits")
        self.id = bytes.fromhex(self.name[5:])
        self.version = account["first_version"] - 1
        self.hash = bytes.fromhex(account["hash_before_first"])
        self.balance = tuple(account["opening"][name] for name in BALANCES)

    def follow(self, lines: Lines, line: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        """Check one entry against all before it, and go on from what it says of itself."""
        state = read_object(entry["state"].encode())
        expected = seal(self.hash, self.id, entry)
        if entry["entry_hash"] != expected.hex():
            lines.wrong(
                line, "the hash chain is broken: this is not the entry that was sealed here"
            )
        after = balance_after(self.balance, entry["topic"], state)
        stated = balance_in(state)
        if after != stated:
            lines.wrong(line, f"the balance after it is {stated} and must be {after}")
        for what in column_faults(self.name, entry, state):
            lines.wrong(line, what)
        self.hash = bytes.fromhex(entry["entry_hash"])
        self.balance = stated
        self.version = entry["version"]
        return state


def read_object(raw: bytes) -> dict[str, Any]:
    """Return one JSON object; a name that is there twice is a ValueError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name is there twice")
        return found

    value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    if not isinstance(value, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - as any other bad JSON
    return value


def seal(previous: bytes, account: bytes, entry: dict[str, Any]) -> bytes:
    """Return the hash of an entry: five fields, each behind its length in four bytes."""
    version = struct.pack(">Q", entry["version"])
    fields = (previous, account, version, entry["topic"].encode(), entry["state"].encode())
    return hashlib.sha256(b"".join(struct.pack(">I", len(f)) + f for f in fields)).digest()


def name_of(topic: str) -> str:
    """Return the name of an entry, such as "charged"; ValueError for what is not one of ours."""
    kind, name, form = topic.split(".")
    if (kind, form) != ("credit_account", "1") or name not in EFFECTS:
        raise ValueError(f"{topic!r} is no kind of entry that this program knows")
    return name


def balance_in(state: dict[str, Any]) -> tuple[int, int, int]:
    """Return posted, reserved and limit as an entry states them."""
    limit = state.get("credit_limit_after_micros", 0)
    return state["posted_after_micros"], state["reserved_after_micros"], limit


def balance_after(before: tuple[int, ...], topic: str, state: dict[str, Any]) -> tuple[int, ...]:
    """Return what the balance must be after an entry."""
    name = name_of(topic)
    amount = 0 if name in WITHOUT_AMOUNT else state["amount_micros"]
    on_posted, on_reserved = EFFECTS[name]
    limit = state["credit_limit_micros"] if name in SETS_LIMIT else before[2]
    return before[0] + on_posted * amount, before[1] + on_reserved * amount, limit


def one_reserved_for(state: dict[str, Any]) -> Any:
    """Return the message that credits were set aside for; None for a campaign's."""
    return None if state.get("campaign_id") else state.get("reservation_id")


def public(prefix: str, uuid: Any) -> str | None:
    """Return an id as people see it."""
    return None if uuid is None else prefix + str(uuid).replace("-", "")


def column_faults(account: str, entry: dict[str, Any], state: dict[str, Any]) -> Iterator[str]:
    """Yield each readable column that does not say what the sealed state says."""
    posted, reserved, limit = balance_in(state)
    expected = {
        "account": account,
        "name": name_of(entry["topic"]),
        "amount_micros": state.get("amount_micros"),
        "posted_after_micros": posted,
        "reserved_after_micros": reserved,
        "credit_limit_after_micros": limit,
        "actor": state["actor"],
        "request_id": state["request_id"],
        "message_id": public("msg_", state.get("message_id") or one_reserved_for(state)),
        "sub_account_id": public("acct_", state.get("sub_account_id")),
    }
    for column, value in expected.items():
        if entry[column] != value:
            yield f"column {column} says {entry[column]!r}, the sealed state says {value!r}"
    if public("acct_", state["originator_id"]) != account:
        yield "the sealed state is of another account"
    if state["originator_version"] != entry["version"]:
        yield "the sealed state is of another version"


class Check:
    """The check of one export."""

    def __init__(self, folder: Path, manifest: dict[str, Any], findings: Findings) -> None:
        self.folder = folder
        self.manifest = manifest
        self.findings = findings
        self.counts: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()
        self.accounts = 0
        self.outside = 0

    def files(self) -> None:
        """Compare size and SHA-256 of every file."""
        for told in self.manifest["files"]:
            path = self.folder / told["name"]
            if path.name != told["name"] or not path.is_file():
                self.findings.add(str(told["name"]), "the file is missing")
                continue
            if path.stat().st_size != told["bytes"]:
                size = path.stat().st_size
                self.findings.add(path.name, f"it has {size} bytes and must have {told['bytes']}")
            digest = hashlib.sha256()
            with path.open("rb") as file:
                for part in iter(lambda: file.read(1 << 20), b""):
                    digest.update(part)
            if digest.hexdigest() != told["sha256"]:
                self.findings.add(path.name, "its SHA-256 is not the one in the manifest")

    def ledger(self) -> None:
        """Follow every account through all files."""
        names = ("opening.ndjson", "entries.ndjson", "bridge.ndjson")
        opening, entries, bridge = (Lines(self.folder, n, self.findings) for n in names)
        accounts = Lines(self.folder, "accounts.ndjson", self.findings)
        before = ""
        while accounts.next is not None:
            account = accounts.next
            where = f"accounts.ndjson line {accounts.number}, account {account.get('account')}"
            try:
                if account["account"] <= before:
                    self.findings.add(where, "accounts are not in order, or one is there twice")
                before = account["account"]
                self._account(where, account, opening, entries, bridge)
            except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
                self.findings.add(where, f"it cannot be followed: {error!r}")
            self.accounts += 1
            accounts.take()
        for lines in (opening, entries, bridge):
            while lines.next is not None:
                lines.wrong(lines.next, "it is of no account of the export, or out of order")
                lines.take()
        self._totals()

    def _account(
        self, where: str, account: dict[str, Any], opening: Lines, entries: Lines, bridge: Lines
    ) -> None:
        chain = Chain(account)
        self._opening(where, chain, opening)
        self._walk(chain, entries, account["last_version"], counted=True)
        if chain.hash.hex() != account["head_hash"]:
            self.findings.add(where, "head_hash is not the hash of its last entry")
        if chain.balance != tuple(account["closing"][name] for name in BALANCES):
            self.findings.add(where, f"closing balance is not the last one, {chain.balance}")
        if account["entries"] != account["last_version"] - account["first_version"] + 1:
            self.findings.add(where, "the number of entries does not fit the versions")
        if self.manifest["checkpoint"] is None:
            return
        self._walk(chain, bridge, account["checkpoint_version"], counted=False)
        root = root_from_proof(
            chain.id + struct.pack(">Q", chain.version) + chain.hash,
            account["leaf_index"],
            self.manifest["checkpoint"]["account_count"],
            [bytes.fromhex(sibling) for sibling in account["inclusion_proof"]],
        )
        if root.hex() != self.manifest["checkpoint"]["root"]:
            self.findings.add(where, "the account is not under the checkpoint: its proof fails")

    def _opening(self, where: str, chain: Chain, lines: Lines) -> None:
        if chain.version == 0:
            if chain.hash != GENESIS or any(chain.balance):
                self.findings.add(where, "an account begins at nothing, with a hash of zeros")
            return
        line = lines.next
        if line is None or (line["entry"]["account"], line["entry"]["version"]) != (
            chain.name,
            chain.version,
        ):
            self.findings.add(where, f"opening.ndjson lacks version {chain.version}")
            return
        entry = line["entry"]
        state = read_object(entry["state"].encode())
        expected = seal(bytes.fromhex(line["previous_hash"]), chain.id, entry)
        if not expected == bytes.fromhex(entry["entry_hash"]) == chain.hash:
            lines.wrong(line, "the opening entry is not the one that the first entry goes on from")
        if balance_in(state) != chain.balance:
            lines.wrong(line, f"the opening balance is {chain.balance} and not the one after it")
        for what in column_faults(chain.name, entry, state):
            lines.wrong(line, what)
        lines.take()

    def _walk(self, chain: Chain, lines: Lines, last: int, *, counted: bool) -> None:
        """Follow an account through one file, up to a version."""
        while lines.next is not None and lines.next.get("account", "") <= chain.name:
            line = lines.next
            try:
                if self._is_next(chain, lines, line, last):
                    state = chain.follow(lines, line, line)
                    if counted:
                        self._count(line, state)
            except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
                lines.wrong(line, f"it is no entry: {error!r}")
            lines.take()
        if chain.version < last:
            missing = f"{chain.version + 1} to {last}"
            self.findings.add(lines.name, f"account {chain.name}: versions {missing} are missing")

    def _is_next(self, chain: Chain, lines: Lines, line: dict[str, Any], last: int) -> bool:
        version = line["version"]
        if line["account"] != chain.name:
            lines.wrong(line, "it is of no account of the export, or out of order")
            return False
        if not chain.version < version <= last:
            lines.wrong(line, f"it is there twice, out of order or beyond version {last}")
            return False
        if version != chain.version + 1:
            lines.wrong(
                line, f"versions {chain.version + 1} to {version - 1} before it are missing"
            )
        return True

    def _count(self, line: dict[str, Any], state: dict[str, Any]) -> None:
        name = name_of(line["topic"])
        self.counts[name] += 1
        self.sums[name] += state.get("amount_micros") or 0
        since, until, at = self.manifest["from"], self.manifest["to"], line["recorded_at"]
        # One width for all, so that texts compare as times do.
        at = at if "." in at else at.replace("Z", ".000000Z")
        if not (since or "") <= at < until:
            self.outside += 1

    def _totals(self) -> None:
        found = {
            name: {"count": self.counts[name], "amount_micros": self.sums[name]}
            for name in sorted(self.counts)
        }
        for what, told, seen in (
            ("totals", self.manifest["totals"], found),
            ("entries", self.manifest["entries"], sum(self.counts.values())),
            ("accounts", self.manifest["accounts"], self.accounts),
        ):
            if told != seen:
                self.findings.add(MANIFEST, f"{what} says {told} and the files hold {seen}")


def root_from_proof(leaf: bytes, index: int, count: int, proof: list[bytes]) -> bytes:
    """Return the root of RFC 6962 that a leaf and its siblings lead to."""
    if not 0 <= index < count:
        raise ValueError(f"there is no leaf {index} among {count}")
    hashed, last, siblings = hashlib.sha256(b"\0" + leaf).digest(), count - 1, list(proof)
    while last > 0:
        if index % 2 == 1 or index < last:
            if not siblings:
                raise ValueError("the inclusion proof is too short")
            sibling = siblings.pop(0)
            pair = sibling + hashed if index % 2 == 1 else hashed + sibling
            hashed = hashlib.sha256(b"\1" + pair).digest()
        index, last = index // 2, last // 2
    if siblings:
        raise ValueError("the inclusion proof is too long")
    return hashed


def checkpoint_text(checkpoint: dict[str, Any]) -> bytes:
    """Return what the signature of a checkpoint is over."""
    names = ("number", "taken_at", "account_count", "root", "previous_hash")
    lines = ["semalink ledger checkpoint 1", *(f"{name} {checkpoint[name]}" for name in names)]
    return "".join(f"{line}\n" for line in lines).encode()


def check_signatures(
    folder: Path, manifest: dict[str, Any], raw: bytes, key: str | None, findings: Findings
) -> str:
    """Check both signatures, and return the sentence for the summary."""
    told = manifest["public_key"]
    if told is None:
        if key is not None:
            findings.add(MANIFEST, "the export is not signed, and a public key was given")
        return "UNSIGNED: whoever changed the files may have changed all hashes with them."
    if key is not None and key != told:
        findings.add(MANIFEST, "it is signed with another key than the one given")
    checkpoint = manifest["checkpoint"]
    signature = (folder / SIGNATURE).read_text("ascii", "replace")
    if not re.fullmatch("[0-9a-f]{128}\n", signature):
        findings.add(SIGNATURE, "it is not a signature: 128 hexadecimal digits and a line feed")
        return "The signature cannot be read."
    if not is_signed(key or told, bytes.fromhex(signature), MANIFEST_CONTEXT + raw):
        findings.add(MANIFEST, "it was changed, or manifest.sig, or the key is another")
    # An older checkpoint may be signed with an older key, which the signed manifest vouches for.
    if checkpoint is not None and not is_signed(
        checkpoint["public_key"],
        bytes.fromhex(checkpoint["signature"]),
        checkpoint_text(checkpoint),
    ):
        findings.add(MANIFEST, "the signature of the checkpoint does not fit")
    if key is None:
        return f"NOT COMPARED WITH A KEY YOU TRUST: the export names {told}; give --public-key."
    return "Signed with the key given."


def is_signed(key: str, signature: bytes, text: bytes) -> bool:
    """Say whether Ed25519 agrees."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - unsigned needs none
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - as above
        Ed25519PublicKey,
    )

    try:
        raw = base64.b64decode(key, validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify(folder: Path, key: str | None) -> int:
    """Check one export, print what is wrong and a summary, and return the exit status."""
    findings = Findings()
    path = folder / MANIFEST
    if not path.is_file():
        findings.add(MANIFEST, "it is missing: the export did not finish")
        return 1
    raw = path.read_bytes()
    said = ""
    try:
        manifest = read_object(raw)
        if manifest["format"] != "semalink-ledger-export-1":
            findings.add(MANIFEST, f"the format {manifest['format']!r} is not known here")
        try:
            said = check_signatures(folder, manifest, raw, key, findings)
        except ImportError:
            findings.add(SIGNATURE, "it was not checked: pip install cryptography")
        check = Check(folder, manifest, findings)
        check.files()
        check.ledger()
        since, until = manifest["from"] or "the first entry", manifest["to"]
        print(f"From {since} up to {until}, {manifest['account'] or 'all accounts'}:")
        print(f"{check.accounts} accounts, {sum(check.counts.values())} entries. {said}")
        if check.outside:
            # Cut by version: a clock that was set back puts an entry on the other side.
            print(f"NOTE   {check.outside} entries were recorded at a time outside the range.")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        findings.add(MANIFEST, f"it cannot be followed: {error!r}")
    print(f"{findings.count} WRONG" if findings.count else "All is well.")
    return 1 if findings.count else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Check an export of the SemaLink ledger.")
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--public-key", metavar="BASE64", help="the key that you were given")
    given = parser.parse_args()
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is not a folder")
    return verify(given.folder, given.public_key)


if __name__ == "__main__":
    sys.exit(main())
