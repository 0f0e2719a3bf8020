"""What is generated in docs/ is what the code says."""

import shutil
from pathlib import Path

import pytest

from tests.pages import DOCS, PAGES, stale


def test_every_generated_page_is_current() -> None:
    assert stale(DOCS) == [], "write them anew: make pages"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_was_changed_or_is_missing_is_found(name: str, tmp_path: Path) -> None:
    for page in PAGES:
        shutil.copy(DOCS / page, tmp_path)
    changed = tmp_path / name

    changed.write_text(changed.read_text() + "\n")
    assert stale(tmp_path) == [name]

    changed.unlink()
    assert stale(tmp_path) == [name]


def test_every_page_that_says_it_is_generated_is_checked() -> None:
    generated = {
        path.name for path in DOCS.glob("*.md") if "Written by `make pages`" in path.read_text()
    }

    assert generated == {name for name in PAGES if name.endswith(".md")}
