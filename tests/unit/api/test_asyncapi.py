"""The AsyncAPI document describes the streams that OpenAPI names, with the same schemas."""

from typing import Any, Final

import pytest
from httpx import ASGITransport, AsyncClient

from api.asyncapi import document
from api.contract_pages import described_app
from tests.support.contracts import Contract

DOCUMENT: Final = document()
CONTRACT: Final = Contract(DOCUMENT)
OPENAPI: Final = described_app().openapi()
MESSAGES: Final = {
    f"{channel} {name}": message
    for channel, described in DOCUMENT["channels"].items()
    for name, message in described["messages"].items()
}


def test_every_reference_leads_somewhere() -> None:
    assert CONTRACT.dangling() == []


@pytest.mark.parametrize("name", MESSAGES)
def test_an_event_has_an_example_that_fits_it(name: str) -> None:
    message = MESSAGES[name]

    assert message["title"]
    assert message["description"]
    for example in message["examples"]:
        CONTRACT.check(example["payload"], message["payload"])


def test_an_operation_is_the_request_of_openapi_that_has_its_name() -> None:
    for name, operation in DOCUMENT["operations"].items():
        channel: dict[str, Any] = DOCUMENT["channels"][operation["channel"]["$ref"].split("/")[-1]]
        method = operation["bindings"]["http"]["method"].lower()
        request = OPENAPI["paths"][channel["address"]][method]
        assert request["operationId"] == name
        assert [one["$ref"].split("/")[-1] for one in operation["security"]] == [
            scheme for one in request["security"] for scheme in one
        ]


def test_what_both_contracts_name_is_the_same() -> None:
    schemas, of_openapi = DOCUMENT["components"]["schemas"], OPENAPI["components"]["schemas"]
    shared = schemas.keys() & of_openapi.keys()

    assert shared >= {"Order", "OrderEvent", "ReportedExecution"}
    for name in shared:
        assert schemas[name] == of_openapi[name]


async def test_it_is_served_to_anybody() -> None:
    async with AsyncClient(
        transport=ASGITransport(described_app()), base_url="http://test"
    ) as client:
        assert (await client.get("/asyncapi.json")).json() == DOCUMENT
