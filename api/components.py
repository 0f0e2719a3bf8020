"""What descriptions of contracts are put together from: schemas, their names, their examples."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

Object = dict[str, Any]

REF: Final = "#/components/{kind}/{name}"
SUFFIX: Final = "Body"
"""What models of bodies are called here and not outside: `OrderBody` is the schema `Order`."""


def ref(kind: str, name: str) -> dict[str, str]:
    """A reference to one of the components of the same document."""
    return {"$ref": REF.format(kind=kind, name=name)}


def schema_of(model: type[BaseModel]) -> Object:
    """A model's schema, with those it refers to in its `$defs`."""
    return model.model_json_schema(ref_template=_pointer("{model}"))


def schemas_of(*models: type[BaseModel]) -> Object:
    """The schemas of models and those they refer to, by name."""
    return {name: one for model in models for name, one in flat(schema_of(model)).items()}


def flat(schema: Object) -> Object:
    """A schema and those in its `$defs`, by name."""
    return {**schema.pop("$defs", {}), schema["title"]: schema}


def example_of(schema: Object, schemas: Mapping[str, Object]) -> Any:
    """An example of what fits `schema`, put together from those of its parts.

    Raises ValueError where a part has none: who reads the document would be left to guess.
    """
    match schema:
        case {"examples": [first, *_]}:
            return first
        case {"$ref": name}:
            return example_of(schemas[name.rpartition("/")[2]], schemas)
        case {"const": value} | {"enum": [value, *_]}:
            return value
        case {"anyOf": [first, *_]}:
            return example_of(first, schemas)
        case {"type": "object", "properties": properties}:
            return {name: example_of(one, schemas) for name, one in properties.items()}
        case {"type": "array", "items": items}:
            return [example_of(items, schemas)]
        case {"type": "boolean"}:
            return True
    raise ValueError(f"no example: {schema}")


def rename(document: Object) -> None:
    """Call the schemas of bodies what they are outside.

    Raises ValueError where two would have one name.
    """
    schemas = document["components"]["schemas"]
    names = {name: name.removesuffix(SUFFIX) for name in schemas}
    if len(set(names.values())) < len(names):
        raise ValueError(f"two schemas have one name without `{SUFFIX}`")
    renamed = {names[name]: schema | {"title": names[name]} for name, schema in schemas.items()}
    document["components"]["schemas"] = dict(sorted(renamed.items()))
    references = {_pointer(old): _pointer(new) for old, new in names.items()}
    for node in objects(document):
        if node.get("$ref") in references:
            node["$ref"] = references[node["$ref"]]


def objects(node: Any) -> Iterator[Object]:
    """Every object in a document."""
    if isinstance(node, dict):
        yield node
        node = node.values()
    elif not isinstance(node, list):
        return
    for child in node:
        yield from objects(child)


def _pointer(schema: str) -> str:
    return REF.format(kind="schemas", name=schema)
