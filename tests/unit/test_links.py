"""What the pages point to is there, and every page is found from docs/README.md."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest

ROOT: Final = Path(__file__).parents[2]
MAP: Final = ROOT / "docs" / "README.md"
FENCE: Final = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
INDENTED: Final = re.compile(r"^(?: {4}|\t).*$", re.MULTILINE)
CODE: Final = re.compile(r"`[^`\n]*`")
LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
PATH: Final = re.compile(r"`([\w.-]+/[\w./*-]*)`")
HEADING: Final = re.compile(r"^#+ +(.*)$", re.MULTILINE)
PAGES: Final = sorted(
    path
    for top in ROOT.glob("[!.]*")
    # Elsewhere is what pages are made of.
    for path in ([top] if top.suffix == ".md" else top.rglob("*.md"))
    if path.name == "README.md" or path.parent == ROOT or top.name == "docs"
    if "node_modules" not in path.parts
)
FOLDERS: Final = {path.name for path in ROOT.glob("[!.]*/")}


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return INDENTED.sub("", FENCE.sub("", text))


def links(text: str) -> Iterator[str]:
    """Where a page points to within the repository."""
    for target in LINK.findall(CODE.sub("", prose(text))):
        if "://" not in target and not target.startswith("mailto:"):
            yield unquote(target)


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def dead_links(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    dead: list[str] = []
    for target in links(text):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or not there.is_relative_to(ROOT):
            dead.append(target)
        elif anchor and there.suffix == ".md":
            known = anchors(text if there == page else there.read_text())
            if anchor not in known:
                dead.append(target)
    return dead


def missing_paths(text: str) -> list[str]:
    """The paths of the repository that a page names and that are not there."""
    named = PATH.findall(prose(text))
    ours = (path for path in named if path.split("/")[0] in FOLDERS)
    return [path for path in ours if not any(ROOT.glob(path.rstrip("/")))]


@cache
def reached() -> frozenset[Path]:
    """Every page that is found from the map; a folder that is pointed to shows all in it."""
    found: set[Path] = set()
    coming = [MAP]
    while coming:
        page = coming.pop()
        if page in found:
            continue
        found.add(page)
        for target in links(page.read_text()):
            there = (page.parent / target.partition("#")[0]).resolve()
            if there.is_dir():
                coming += there.glob("*.md")
            elif there.suffix == ".md" and there.exists():
                coming.append(there)
    return frozenset(found)


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    assert missing_paths(page.read_text()) == []


def test_every_page_of_docs_is_found_from_the_map() -> None:
    of_docs = {page for page in PAGES if page.is_relative_to(MAP.parent)}

    assert {named(page) for page in of_docs - reached()} == set()


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("[a](#no-such-part)", ["#no-such-part"]),
        ("[a](glossary.md#no-such-part)", ["glossary.md#no-such-part"]),
        ("![a](images/none.png)", ["images/none.png"]),
        ("# A part, `of` it\n[a](#a-part-of-it) [b](../README.md) [c](decisions/)", []),
        ("`[a](nowhere.md)`\n\n    [b](nowhere.md)\n\n```\n[c](nowhere.md)\n```", []),
        ("[a](https://example.org/nowhere.md)", []),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, dead: list[str]) -> None:
    assert dead_links(MAP, text) == dead


def test_a_path_that_is_not_there_is_found() -> None:
    text = "`api/app.py`, `tests/unit/test_*.py`, `tests/none.py`, `other/none.py`, `docs/none/`"

    assert missing_paths(text) == ["tests/none.py", "docs/none/"]
