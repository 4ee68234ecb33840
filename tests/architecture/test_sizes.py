"""A file or a function that outgrows its limit is two things; see docs/style.md."""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50

#: What is over its limit today and by how many lines it may be long. Entries shrink or go.
RATCHET: dict[str, int] = {
    # One file on purpose: it is copied to machines that have nothing else of ours.
    "ops/semalink_ops/ledger_tools/verify_export.py": 485,
}


def functions(
    tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def too_large(path: str, text: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    lines = len(text.splitlines())
    if lines > FILE_LINES_MAX:
        yield path, lines
    for name, node in functions(tree):
        assert node.end_lineno is not None, "a parsed function has an end"
        lines = node.end_lineno - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{path}:{name}", lines


def test_sizes_stay_within_their_limits(sources: Sequence[Any]) -> None:
    measured = {
        place: lines
        for source in sources
        for place, lines in too_large(source.path, source.text, source.tree)
    }

    assert measured == RATCHET, "split what grew; lower or drop the entry of what shrank"


def test_long_function_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    text = f"class Ledger:\n  if True:\n   async def commit(self):\n{body}"

    found = list(too_large("ledger.py", text, ast.parse(text)))

    assert found == [("ledger.py:Ledger.commit", FUNCTION_LINES_MAX + 1)]


def test_long_file_is_found() -> None:
    text = "pass\n" * (FILE_LINES_MAX + 1)

    found = list(too_large("ledger.py", text, ast.parse(text)))

    assert found == [("ledger.py", FILE_LINES_MAX + 1)]
