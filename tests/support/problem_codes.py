"""Which codes of problems the tests assert, and which each route says it answers with."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import httpx
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from api.contract_pages import described_app
from api.errors import problem_response
from brokerage.contracts.problems import PROBLEMS

ASSERTING: Final = re.compile(r"assert_\w+|raises")
"""Functions whose arguments are asserted."""
CODE_IN_JSON: Final = re.compile(r'"code":"([a-z-]+)"')
OF_NO_ROUTE: Final = frozenset({"not-found", "method-not-allowed"})
"""What is answered where there is no such route, which therefore cannot say so."""


def asserted_texts(module: ast.Module) -> set[str]:
    """The texts that a test module asserts: in an `assert`, as an argument of an `assert_...()` or
    of `pytest.raises`, or in the cases that a test is parametrised with. Of a text that is a piece
    of JSON with a code, the code.
    """
    found: set[str] = set()
    for asserted in _asserted(module):
        for node in ast.walk(asserted):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value, *CODE_IN_JSON.findall(node.value)}
    return found


def _asserted(module: ast.Module) -> Iterator[ast.AST]:
    tables: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Assert):
            yield node.test
        elif isinstance(node, ast.Call):
            name = _name(node.func)
            if name == "parametrize":
                yield node
                tables |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            elif ASSERTING.fullmatch(name):
                yield node
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in tables:
                yield value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if (
                name in tables
            ):
                yield value


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


@cache
def documented() -> Mapping[tuple[str, str], frozenset[str]]:
    """The codes of each route, by method and path with its parameters in braces."""
    return {
        (method.upper(), path): frozenset(_codes(operation))
        for path, operations in described_app().openapi()["paths"].items()
        for method, operation in operations.items()
    }


def named() -> Mapping[tuple[str, str], frozenset[str]]:
    """The codes that stand in the functions of `api` which each route calls, dependencies included.

    Not all that it may answer: what is called through a value (`node.temporal.place`), or looked up
    in a table, is not seen.
    """
    routes = [context.original_route for context in iter_route_contexts(described_app().routes)]
    return {
        (method, route.path): frozenset().union(
            *(_named_in(call, set()) for call in _calls(route.dependant))
        )
        for route in routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in sorted(route.methods or ())
    }


def _calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for one in dependant.dependencies:
        yield from _calls(one)


def _named_in(called: Any, seen: set[Any]) -> frozenset[str]:
    if not isinstance(called, FunctionType) or called in seen:
        return frozenset()
    if not called.__module__.startswith("api.") or called is problem_response:
        return frozenset()
    seen.add(called)
    code = _all_code(called.__code__)
    found = {text for one in code for text in one.co_consts if isinstance(text, str)} & set(
        PROBLEMS
    )
    names = {name for one in code for name in one.co_names}
    known = [called.__globals__.get(name) for name in names]
    of_modules = (
        vars(one).get(name) for one in known if isinstance(one, ModuleType) for name in names
    )
    further = (*known, *of_modules)
    return frozenset(found).union(*(_named_in(one, seen) for one in further))


def _all_code(code: CodeType) -> list[CodeType]:
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return [code, *(further for one in inner for further in _all_code(one))]


def _codes(operation: Mapping[str, Any]) -> Iterator[str]:
    for response in operation["responses"].values():
        described = response.get("content", {}).get("application/problem+json", {})
        yield from described.get("examples", {})


def undocumented(method: str, path: str, code: str) -> bool:
    """True if the route that answers this request does not say that it may answer so."""
    if code in OF_NO_ROUTE or code not in PROBLEMS:
        return code not in PROBLEMS
    return not any(
        method == known and _matches(template, path) and code in codes
        for (known, template), codes in documented().items()
    )


def _matches(template: str, path: str) -> bool:
    pattern = "".join(
        r"[^/]+" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{\w+\})", template)
    )
    return re.fullmatch(pattern, path) is not None


async def check_documented(response: httpx.Response) -> None:
    """Fail the test whose request was answered with a problem that the route does not document.

    For the event hooks of a client.
    """
    if response.headers.get("content-type") != "application/problem+json":
        return
    await response.aread()
    request, code = response.request, response.json()["code"]
    assert not undocumented(request.method, request.url.path, code), (
        f"{request.method} {request.url.path} answered {code}, which the route does not document"
    )
