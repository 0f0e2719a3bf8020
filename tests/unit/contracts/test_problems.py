"""The catalogue of problems is complete: every code that is used is in it, and the other way."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from brokerage.contracts.problems import PROBLEMS, encode, problem

ROOT: Final = Path(__file__).parents[3]
SOURCES: Final = ("brokerage", "activities", "workflows", "streaming", "api", "workers")
CATALOGUE: Final = ROOT / "brokerage" / "contracts" / "problems.py"
RAISERS: Final = {"ProblemError", "Rejected", "problem", "problem_response"}
"""What takes a code as its first argument."""


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path != CATALOGUE:
                yield path, ast.parse(path.read_text())


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _codes_raised() -> dict[str, str]:
    """By code: a place that answers with it."""
    found: dict[str, str] = {}
    for path, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            arguments = node.args if _name(node.func) == "problems" else node.args[:1]
            if _name(node.func) not in RAISERS | {"problems"}:
                continue
            for argument in arguments:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found[argument.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def _words() -> set[str]:
    return {
        node.value
        for _, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_code_that_is_answered_is_in_the_catalogue() -> None:
    unknown = {code: place for code, place in _codes_raised().items() if code not in PROBLEMS}

    assert not unknown


def test_every_code_of_the_catalogue_is_answered_somewhere() -> None:
    assert set(PROBLEMS) - _words() == set()


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_is_a_kebab_case_code_with_advice(code: str) -> None:
    kind = PROBLEMS[code]

    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert 400 <= kind.status <= 503
    assert kind.title
    assert kind.advice.endswith((".", "`"))


@pytest.mark.parametrize("code", PROBLEMS)
def test_what_is_away_may_be_repeated_and_what_is_wrong_may_not(code: str) -> None:
    kind = PROBLEMS[code]

    if kind.status in (429, 500, 503):
        assert kind.retryable
    elif kind.status != 409:
        assert not kind.retryable


def test_a_problem_has_its_members_and_only_those_extras_that_say_something() -> None:
    body = problem("price-out-of-band", "too far", required=5, available=None)

    assert body == {
        "type": "/problems/price-out-of-band",
        "title": "The price is far from the market",
        "status": 422,
        "code": "price-out-of-band",
        "detail": "too far",
        "retryable": False,
        "advice": "`available` is the furthest price that is taken now.",
        "required": 5,
    }


def test_the_same_body_is_the_same_bytes() -> None:
    body = problem("not-found", "geëindigd")

    assert encode(body) == encode(json.loads(encode(body)))
    assert "geëindigd" in encode(body)
