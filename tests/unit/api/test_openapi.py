"""The OpenAPI document is whole: nobody who reads it has to guess, and nothing in it is wrong."""

import re
from collections import Counter
from typing import Any, Final

import pytest
import schemathesis

from api.components import example_of
from api.contract_pages import described_app
from api.documentation import BODY_PROBLEMS, PROBLEM_JSON, TOKEN_PROBLEMS
from api.openapi import operations
from brokerage.contracts.problems import PROBLEMS
from tests.support.contracts import Contract

DOCUMENT: Final = described_app().openapi()
OPERATIONS: Final = {f"{method} {path}": found for path, method, found in operations(DOCUMENT)}
CONTRACT: Final = Contract(DOCUMENT)
STREAMS: Final = ("POST /subscribe", "GET /subscribe", "GET /orders/stream")


@pytest.fixture(params=OPERATIONS, scope="module")
def operation(request: pytest.FixtureRequest) -> Any:
    return OPERATIONS[request.param]


def codes(operation: Any) -> set[str]:
    """The codes of problems that it says it may answer with."""
    return {
        code
        for response in operation["responses"].values()
        for code in response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {})
    }


def contents(operation: Any) -> list[tuple[str, Any]]:
    """The media types of its request and of its answers, with what is said of them."""
    parts = (operation.get("requestBody", {}), *operation["responses"].values())
    return [pair for part in parts for pair in part.get("content", {}).items()]


def test_it_is_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_reference_leads_somewhere() -> None:
    assert CONTRACT.dangling() == []
    assert Contract(DOCUMENT | {"info": {"$ref": "#/nowhere"}}).dangling() == ["#/nowhere"]


def test_names_of_operations_are_names_in_every_language_and_unique() -> None:
    names = Counter(operation["operationId"] for operation in OPERATIONS.values())

    assert max(names.values()) == 1
    assert [name for name in names if not re.fullmatch(r"[a-z][A-Za-z]+", name)] == []


def test_no_schema_is_named_by_a_module() -> None:
    names = set(DOCUMENT["components"]["schemas"])

    assert [name for name in names if not re.fullmatch(r"([A-Z][a-z]+)+", name)] == []


def test_an_operation_says_what_it_is_for(operation: Any) -> None:
    declared = {tag["name"] for tag in DOCUMENT["tags"]}

    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    assert set(operation["tags"]) <= declared


def test_every_body_has_a_schema_and_an_example_that_fits_it(operation: Any) -> None:
    for media_type, content in contents(operation):
        if media_type == "application/json":
            CONTRACT.check(content["example"], content["schema"])
        else:
            assert content["schema"]


def test_every_success_has_a_body_or_is_without_content(operation: Any) -> None:
    for status, response in operation["responses"].items():
        assert response["description"]
        assert bool(response.get("content")) == (status != "204")


def test_a_schema_without_an_example_is_refused() -> None:
    with pytest.raises(ValueError, match="no example"):
        example_of({"type": "object", "properties": {"shares": {"type": "integer"}}}, {})


@pytest.mark.parametrize("code", PROBLEMS)
def test_the_example_of_a_problem_is_one(code: str) -> None:
    example = DOCUMENT["components"]["examples"][code]["value"]

    CONTRACT.check(example, {"$ref": "#/components/schemas/Problem"})
    assert example["code"] == code


def test_an_answer_has_its_headers(operation: Any) -> None:
    for status, response in operation["responses"].items():
        headers = set(response["headers"])
        is_problem = PROBLEM_JSON in response["content"] if "content" in response else False
        assert "X-Request-Id" in headers
        assert ("WWW-Authenticate" in headers) == (status == "401")
        assert not is_problem or status not in ("429", "503") or "Retry-After" in headers


def test_whoever_must_be_known_says_so_and_nobody_else(operation: Any) -> None:
    needs_token = set(TOKEN_PROBLEMS) <= codes(operation)

    assert ({"bearer": []} in operation["security"]) == (
        needs_token and "operator-only" not in codes(operation)
    )
    assert (operation["security"] == [{"bearer": ["operator"]}]) == (
        "operator-only" in codes(operation)
    )
    assert ({"ticket": []} in operation["security"]) == ("ticket-invalid" in codes(operation))


def test_every_way_in_which_a_body_can_be_wrong_is_documented(operation: Any) -> None:
    if "requestBody" in operation:
        assert codes(operation) >= set(BODY_PROBLEMS)


def test_whatever_breaks_is_documented(operation: Any) -> None:
    assert "internal" in codes(operation)


def test_streams_are_the_only_answers_of_events() -> None:
    streaming = {
        name
        for name, operation in OPERATIONS.items()
        if "text/event-stream" in dict(contents(operation))
    }

    assert streaming == set(STREAMS)
