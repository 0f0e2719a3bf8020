"""The manifests against what their readers publish, fetched as Go modules where there is Go."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from tests.support.deployment import DOCKER, ROOT, compose, manifests, read

KEDA: Final = "github.com/kedacore/keda/v2@v2.20.2"
COMPOSE: Final = "github.com/compose-spec/compose-go/v2@v2.16.2"
FETCH_SECONDS: Final = 60.0


async def module(name: str) -> Path:
    """The folder of a Go module, fetched into Go's cache; skips the test where it cannot be had."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"no Go on PATH, so {name} cannot be fetched and nothing is held against it")
    process = await asyncio.create_subprocess_exec(
        *(go, "mod", "download", "-json", name),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        pytest.skip(f"Go did not fetch {name} within {FETCH_SECONDS:g} s")
    if process.returncode != 0:
        pytest.skip(f"Go cannot fetch {name}: {(output + errors).decode()[-300:]}")
    return Path(json.loads(output)["Dir"])


def _mistakes(validator: Validator, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _strict(schema: Any) -> Any:
    """The same schema, by which a field that it does not know is a mistake."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {} if "properties" not in schema else {"additionalProperties": False}
    return closed | {key: _strict(value) for key, value in schema.items()}


async def test_compose_yaml_is_what_compose_takes() -> None:
    schema = json.loads((await module(COMPOSE) / "schema" / "compose-spec.json").read_text())

    assert _mistakes(Draft202012Validator(schema), compose()) == []


async def test_what_is_scaled_is_scaled_in_words_that_keda_knows() -> None:
    keda = await module(KEDA)
    [definition] = read(keda / "config" / "crd" / "bases" / "keda.sh_scaledobjects.yaml")
    [version] = definition["spec"]["versions"]
    published = json.loads((keda / "schema" / "generated" / "scalers-schema.json").read_text())
    scalers = {each["type"]: each["parameters"] for each in published["scalers"]}
    strict = _strict(version["schema"]["openAPIV3Schema"])
    # Of the metadata of any object the definition says nothing.
    strict["properties"]["metadata"] = {"type": "object"}

    scaled = manifests("ScaledObject")
    assert scaled
    for name, manifest in scaled.items():
        assert manifest["apiVersion"] == f"keda.sh/{version['name']}"
        assert _mistakes(Draft202012Validator(strict), manifest) == [], name
        for trigger in manifest["spec"]["triggers"]:
            known = {each["name"]: each for each in scalers[trigger["type"]]}
            assert trigger["metadata"].keys() <= known.keys(), name
            assert [
                parameter["name"]
                for parameter in known.values()
                if not parameter.get("optional")
                and not parameter.get("default")
                and parameter["name"] not in trigger["metadata"]
            ] == [], name


async def test_temporal_reads_every_variable_and_every_setting_that_it_is_given() -> None:
    go_mod = (ROOT / "devstack" / "temporal" / "go.mod").read_text()
    [version] = re.findall(r"go\.temporal\.io/server (v\S+)", go_mod)
    server = await module(f"go.temporal.io/server@{version}")
    template = (server / "common" / "config" / "config_template_embedded.yaml").read_text()
    settings = (server / "common" / "dynamicconfig" / "constants.go").read_text().lower()
    tool = (server / "tools" / "sql" / "main.go").read_text()
    given = compose()["services"]

    assert set(given["temporal"]["environment"]) <= set(re.findall(r'env "(\w+)"', template))
    assert set(given["temporal-schema"]["environment"]) <= set(
        re.findall(r'EnvVar:\s+"(\w+)"', tool)
    )
    [dynamic] = read(DOCKER / "temporal" / "dynamic.yaml")
    assert [name for name in dynamic if f'"{name.lower()}"' not in settings] == []
