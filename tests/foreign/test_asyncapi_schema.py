"""docs/asyncapi.json is what the AsyncAPI project publishes as AsyncAPI."""

import json

import jsonschema
import pytest

from api.asyncapi import document
from tests.foreign.clients import MODULES, installed
from tests.support.programs import CannotRun, found


async def test_the_document_is_asyncapi() -> None:
    try:
        await installed(found("npm"))
    except CannotRun as reason:
        pytest.skip(str(reason))
    published = json.loads((MODULES / "@asyncapi/specs/schemas/3.0.0.json").read_text())
    validator = jsonschema.Draft7Validator(published)

    assert [error.message for error in validator.iter_errors(document())] == []
    assert list(validator.iter_errors(document() | {"channels": {"prices": {"address": 1}}}))
