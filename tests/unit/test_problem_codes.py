"""Every problem that a client can get is asserted by a test, and no route hides one it answers."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from brokerage.contracts.problems import PROBLEMS
from tests.support.problem_codes import OF_NO_ROUTE, asserted_texts, documented, named, undocumented

TESTS: Final = Path(__file__).parents[1]
OTHERS: Final = ("unit/client", "unit/exchange", "unit/gateway", "unit/contracts", "support")
"""Tests that make the answers up themselves, or that assert codes of the exchange."""


def untested(codes: Iterable[str]) -> set[str]:
    """The codes that no test of ours asserts."""
    asserted: set[str] = set()
    for path in sorted(TESTS.rglob("test_*.py")):
        relative = path.relative_to(TESTS).as_posix()
        if not relative.startswith(OTHERS):
            asserted |= asserted_texts(ast.parse(path.read_text()))
    return set(codes) - asserted


def test_every_code_of_the_catalogue_is_asserted_by_a_test() -> None:
    assert untested(PROBLEMS) == set()


def test_a_code_without_a_test_is_found() -> None:
    made_up = "-".join(("nobody", "asserts", "this"))

    assert untested([*PROBLEMS, made_up]) == {made_up}


@pytest.mark.parametrize(
    "source",
    [
        "assert answer.json()['code'] == 'gone'",
        "assert {one['code'] for one in found} <= {'gone', 'lost'}",
        "assert_problem(await http.get('/x'), 'gone')",
        """assert '"code":"gone"' in reply.body""",
        "with pytest.raises(ProblemError, match='gone'):\n    pass",
        "@pytest.mark.parametrize('code', ['gone'])\ndef test_it(code): pass",
        "BAD = {'no such': Bad('gone')}\n@pytest.mark.parametrize('name', BAD)\ndef test_it(): 0",
    ],
)
def test_what_a_test_asserts_counts(source: str) -> None:
    assert "gone" in asserted_texts(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "raise ProblemError('gone', 'it was here')",
        "'''An answer of gone.'''",
        "CODES = ['gone']",
        "def test_it():\n    refused = await place('gone')\n    assert refused",
    ],
)
def test_what_a_test_only_mentions_does_not_count(source: str) -> None:
    assert "gone" not in asserted_texts(ast.parse(source))


def test_every_code_is_documented_by_a_route_or_belongs_to_none() -> None:
    of_routes = frozenset().union(*documented().values())

    assert set(PROBLEMS) - of_routes == {"method-not-allowed"}


@pytest.mark.parametrize("route", named(), ids=" ".join)
def test_every_code_that_a_route_names_is_documented_by_it(route: tuple[str, str]) -> None:
    assert named()[route] - documented()[route] - OF_NO_ROUTE == set()


def test_codes_are_found_behind_dependencies_and_calls() -> None:
    found = named()[("POST", "/order")]

    assert {"token-missing", "idempotency-key-missing", "feed-stale"} <= found


def test_an_answer_that_its_route_does_not_document_is_found() -> None:
    order = "/order/0c7a9a6e-3f0b-5c53-8a5e-0a4f6f1f2b11"

    assert not undocumented("GET", order, "order-not-found")
    assert undocumented("GET", order, "too-late-to-cancel")
    assert not undocumented("DELETE", order, "too-late-to-cancel")
    assert not undocumented("GET", "/nowhere", "not-found")
    assert undocumented("GET", order, "no-such-code")
