"""Contracts as tests read them: references followed, nothing let through that is not described."""

import copy
from collections.abc import Mapping
from typing import Any, Final

import jsonschema
from referencing import Registry
from referencing.exceptions import PointerToNowhere, Unresolvable
from referencing.jsonschema import DRAFT202012

from api.components import objects

OPEN: Final = frozenset({"Problem"})
"""Schemas that say themselves that more may come."""


class Contract:
    """An OpenAPI or AsyncAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = closed(document)
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource("contract", resource)

    def check(self, value: object, schema: Mapping[str, Any]) -> None:
        """Fail unless `value` is what a schema of the document describes, and no more."""
        pointer = {"$ref": "contract" + schema["$ref"]}
        jsonschema.Draft202012Validator(pointer, registry=self._registry).validate(value)

    def dangling(self) -> list[str]:
        """The references that lead nowhere."""
        resolver = self._registry.resolver(base_uri="contract")
        lost = []
        for reference in {one["$ref"] for one in objects(self.document) if "$ref" in one}:
            try:
                resolver.lookup(reference)
            except (PointerToNowhere, Unresolvable):
                lost.append(reference)
        return lost


def closed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document, with objects that have no members but those described."""
    strict = copy.deepcopy(dict(document))
    for name, schema in strict["components"]["schemas"].items():
        if "properties" in schema and name not in OPEN:
            schema["additionalProperties"] = False
    return strict
