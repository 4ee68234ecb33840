"""What must not lie in the tree: drawers for anything, names of libraries, marks of a machine."""

import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

DRAWERS = frozenset({"base.py", "common.py", "helpers.py", "misc.py", "util.py", "utils.py"})

OUR_PACKAGES = frozenset({"semalink", "semalink_adapters", "semalink_ops"})

#: Each is written so that it does not match itself.
MACHINE_MARKS = {
    "the address of a package registry": re.compile(
        r"py[p]i\.org|python[h]osted\.org|np[m]js\.(org|com)|crate[s]\.io|deb\.debia[n]\.org"
        r"|prox[y]\.golang\.org|mave[n]\.org"
    ),
    "a path of one machine": re.compile(
        r"/wor[k]/(main|shared|steering|\.)|/far[m]/|/hom[e]/[a-z]|/User[s]/[A-Za-z]|/roo[t]/"
        r"|/tm[p]/(v|brief)/"
    ),
}
UNFINISHED = re.compile(r"\b(FIXM[E]|XX[X])\b|\bTOD[O]\b(?!.*#\d)")


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, str]:
    """Every text file that is, or could be, committed, by its path."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    )
    found = {}
    for name in filter(None, listing.stdout.split("\0")):
        # A file that was deleted and not yet committed is still listed.
        content = (root / name).read_bytes() if (root / name).is_file() else b""
        if b"\0" not in content:
            found[name] = content.decode()
    return found


def test_no_file_is_a_drawer_for_anything(root: Path) -> None:
    folders = [root / name for name in ("src", "adapters", "ops", "bench", "tests")]

    found = [path for folder in folders for path in folder.rglob("*.py") if path.name in DRAWERS]

    assert found == [], "a file is named after what is in it"


def test_no_folder_hides_a_library(root: Path) -> None:
    libraries = (set(packages_distributions()) | sys.stdlib_module_names) - OUR_PACKAGES

    found = [
        f"{source_root}/{folder.name}"
        for source_root in ("src", "adapters", "ops")
        for folder in (root / source_root).iterdir()
        if folder.name in libraries
    ]

    assert found == [], "`import` would find the folder where the library is not installed"


@pytest.mark.parametrize("what", MACHINE_MARKS)
def test_no_file_records_where_it_was_made(what: str, texts: dict[str, str]) -> None:
    found = matching_lines(MACHINE_MARKS[what], texts)

    assert found == [], f"{what} is true in one place only"


def test_no_unfinished_marks(texts: dict[str, str]) -> None:
    found = matching_lines(UNFINISHED, texts)

    assert found == [], "finish it, or name the issue that will: #123"


def matching_lines(pattern: re.Pattern[str], texts: dict[str, str]) -> Sequence[str]:
    return [
        f"{name}:{number}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
