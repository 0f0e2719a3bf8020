"""The contracts as files: docs/openapi.json and docs/asyncapi.json, so that a change of either is
seen where changes are read. As in development: production issues no tokens.
"""

import json
import re
from functools import cache

from fastapi import FastAPI
from pydantic import SecretStr

from api import asyncapi
from api.app import create_app
from brokerage.runtime.settings import Settings


@cache
def described_app() -> FastAPI:
    """The application of a development node; it is only looked at."""
    secret = SecretStr("a secret for the description only, 32 bytes")
    return create_app(Settings(environment="development", token_secret=secret))


def openapi_text() -> str:
    """The OpenAPI document, as text."""
    return _text(described_app().openapi())


def asyncapi_text() -> str:
    """The AsyncAPI document, as text."""
    return _text(asyncapi.document())


def _text(document: dict[str, object]) -> str:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return re.sub(r'{\s+("\$ref": "[^"]+")\s+}', r"{\1}", text)
