"""`python -m tests.pages` writes the generated files of docs/; `--check` says which are old."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from api import contract_pages, problems_page
from client.command import reference
from tests.faults import crash_page

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "command-reference.md": reference.page,
    "openapi.json": contract_pages.openapi_text,
    "asyncapi.json": contract_pages.asyncapi_text,
    "problems.md": problems_page.page,
    "crash-points.md": crash_page.page,
}
"""What a file in docs/ must say, by its name."""


def stale(docs: Path) -> list[str]:
    """The pages in `docs` that are not there, or say something else than the code."""
    return [name for name, page in PAGES.items() if _read(docs / name) != page()]


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def main() -> None:
    """Write the pages, or check them: exits with what to do if they are old."""
    outdated = stale(DOCS)
    if sys.argv[1:] == ["--check"]:
        if outdated:
            sys.exit(f"docs/ is older than the code: {', '.join(outdated)}; run `make pages`")
        return
    for name in outdated:
        (DOCS / name).write_text(PAGES[name]())


if __name__ == "__main__":
    main()
