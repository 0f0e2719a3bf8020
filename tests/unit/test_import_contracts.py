"""Every import contract catches the import it exists for.

The packages are copied, one module with a bad import is added, and the linter is run on the copy:
exactly the contract at hand must break. A contract without such a case fails a test of its own.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LINTER: Final = Path(sys.executable).parent / "lint-imports"

BREAKING: Final[Mapping[str, Mapping[str, str]]] = {
    "floors": {"brokerage/storage/bad.py": "import brokerage.bus.connection"},
    "domain": {"brokerage/domain/bad.py": "import random"},
    "contracts": {"brokerage/contracts/bad.py": "import msgspec"},
    "workflow-code": {"workflows/bad.py": "import brokerage.runtime.settings"},
    "writes": {"streaming/bad.py": "import brokerage.storage.writes"},
    "admission": {"workers/bad.py": "import brokerage.storage.admission"},
    "operations": {"workers/bad.py": "import brokerage.storage.operations"},
    "bars": {"api/bad.py": "import brokerage.storage.bar_writes"},
    "edges": {"api/bad.py": "import activities.orders"},
    "another-company": {"exchange/bad.py": "import brokerage.domain.money"},
    "protocol-only": {"streaming/bad.py": "import exchange.book"},
    "protocol-owners": {"api/bad.py": "import exchange.protocol"},
    "devstack": {"devstack/bad.py": "import brokerage.domain.money"},
    "client": {"client/bad.py": "import brokerage.domain.money"},
    "command": {"client/bad.py": "import client.command.money"},
    "servers": {"workers/bad.py": "import client.models"},
    "cycles": {
        "streaming/bad.py": "import streaming.worse",
        "streaming/worse.py": "import streaming.bad",
    },
    "asyncpg": {"streaming/bad.py": "import asyncpg"},
    "sqlalchemy": {"brokerage/storage/bad.py": "import sqlalchemy"},
    "nats": {"streaming/bad.py": "import nats"},
    "httpx": {"workers/bad.py": "import httpx"},
    "opentelemetry": {"streaming/bad.py": "import opentelemetry"},
    "websockets": {"api/bad.py": "import websockets"},
    "fastapi": {"streaming/bad.py": "import fastapi"},
    "temporalio": {"brokerage/gateway/bad.py": "import temporalio.client"},
}
"""By contract: the modules to add, and what each says."""


def _configuration() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["tool"]["importlinter"]
    return found


CONTRACTS: Final = {one["id"]: one["name"] for one in _configuration()["contracts"]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages' sources and the configuration, somewhere else."""
    folder = tmp_path_factory.mktemp("packages")
    for package in _configuration()["root_packages"]:
        for source in (ROOT / package).rglob("*.py"):
            target = folder / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def broken_contracts(folder: Path) -> set[str]:
    """The names of the contracts that the packages in `folder` break."""
    run = subprocess.run(
        [LINTER, "--config", "pyproject.toml", "--cache-dir", "cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200", "LC_ALL": "C.UTF-8"},
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", run.stdout, re.MULTILINE))
    assert set(verdicts) == set(CONTRACTS.values()), run.stdout + run.stderr
    broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert bool(broken) == (run.returncode != 0)
    return broken


def test_every_contract_has_a_case_that_breaks_it() -> None:
    assert set(BREAKING) == set(CONTRACTS)


def test_the_tree_keeps_every_contract(copy: Path) -> None:
    assert broken_contracts(copy) == set()


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_bad_import_breaks_its_contract_and_no_other(contract: str, copy: Path) -> None:
    added = {copy / path: text for path, text in BREAKING[contract].items()}
    for path, text in added.items():
        assert not path.exists()
        path.write_text(f"{text}\n")

    try:
        broken = broken_contracts(copy)
    finally:
        for path in added:
            path.unlink()

    assert broken == {CONTRACTS[contract]}


def test_the_linter_looks_at_every_package_of_ours() -> None:
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert ours - set(_configuration()["root_packages"]) <= {"tests"}
