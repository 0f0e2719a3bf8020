"""The rules of the repository that no other tool holds."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LINES_MAX: Final = 400
"""A file past 300 lines is asked what its second subject is; past this the answer is overdue."""

SKIPPED: Final = {"node_modules", "__pycache__"}
TEXT: Final = {
    *(".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".html", ".js", ".css", ".sh"),
    *(".sql", ".in", ".mod", ".cfg", ".ini", ".csv", ""),
}

MACHINE_PATH: Final = re.compile(r"(?<![\w.{}$)/-])/(?:root|work|home|Users|tmp)/\w")
REGISTRY: Final = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|proxy\.golang|sum\.golang"
    r"|index-url\s*=?\s*http|extra-index[-]url"
)


def _files() -> Iterator[Path]:
    """Every text file of the repository: nothing hidden but `.ci`, nothing that was built."""
    for top in sorted(ROOT.iterdir()):
        if top.name.startswith(".") and top.name != ".ci":
            continue
        for path in [top] if top.is_file() else _below(top):
            if path.is_file() and path.suffix in TEXT:
                yield path


def _below(top: Path) -> list[Path]:
    """The files below a folder. What is skipped is not entered: there, others write and remove."""
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in SKIPPED]
        found += [Path(folder, name) for name in names]
    return sorted(found)


def _sources() -> list[Path]:
    return [path for path in _files() if path.suffix == ".py"]


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_file_has_one_subject() -> None:
    lengths = {_named(path): len(path.read_text().splitlines()) for path in _sources()}

    assert {name: lines for name, lines in lengths.items() if lines > LINES_MAX} == {}


def test_a_module_says_what_it_is_for() -> None:
    silent = [
        _named(path)
        for path in _sources()
        # A file of tests says it in the names of the tests.
        if not path.name.startswith(("test_", "conftest"))
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_a_package_exports_nothing_and_runs_nothing() -> None:
    busy = [
        _named(path)
        for path in _sources()
        if path.name == "__init__.py" and len(ast.parse(path.read_text()).body) != 1
    ]

    assert busy == []


def test_no_file_names_a_place_of_somebodys_machine() -> None:
    assert _lines_with(MACHINE_PATH) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    # Where packages come from is for the machine that installs them to say.
    assert _lines_with(REGISTRY) == []


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{_named(path)}:{number}: {line.strip()[:120]}"
        for path in _files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
