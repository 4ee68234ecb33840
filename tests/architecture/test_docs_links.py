"""Every relative link of the documents leads to a file, and to a heading where it names one."""

import re
from pathlib import Path

FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELSEWHERE = ("http://", "https://", "mailto:")
#: Folders of the repository; what tools and running systems write lies beside them.
FOLDERS = ("docs", "ops", "src", "adapters", "tests", "bench")


def test_every_relative_link_leads_somewhere(root: Path) -> None:
    pages = [
        *root.glob("*.md"),
        *(page for name in FOLDERS for page in (root / name).rglob("*.md")),
    ]

    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in links(page.read_text())
        if not leads_somewhere(page, target)
    ]

    assert len(pages) > 10, "there are documents to look at"
    assert broken == [], "a reader who follows the link finds nothing"


def test_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n\n[there](page.md#a-heading) [gone](gone.md) [lost](#no-such)\n")

    broken = [target for target in links(page.read_text()) if not leads_somewhere(page, target)]

    assert broken == ["gone.md", "#no-such"]


def test_links_passes_over_code_and_other_hosts() -> None:
    text = "[a](b.md)\n```text\n[no](link.md)\n```\n[far](https://example.org)\n"

    found = links(text)

    assert found == ["b.md"]


def links(text: str) -> list[str]:
    return [
        target for target in LINK.findall(FENCE.sub("", text)) if not target.startswith(ELSEWHERE)
    ]


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = page.parent / name if name else page
    if not anchor or path.suffix != ".md":
        return path.exists()
    return path.is_file() and anchor in anchors(path.read_text())


def anchors(text: str) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
