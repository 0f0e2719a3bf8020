"""Bodies in, as checked values; bodies out, as JSON."""

from collections.abc import Mapping
from typing import TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from api.errors import ProblemError, validation_problem
from brokerage.contracts.problems import encode

Body = TypeVar("Body", bound=BaseModel)


async def read_json(request: Request, model: type[Body]) -> Body:
    """The request's body as `model`; raises `ProblemError` for everything it should not be.

    Read by hand because the framework would read it with `json.loads`, which takes `NaN`, turns
    `10.0` into a number that looks whole, and costs more.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError("unsupported-media-type", "the body must be application/json")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise validation_problem(
            error.errors(include_url=False, include_context=False, include_input=False)
        ) from None


def json_response(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer that was built from values of ours: it is not validated a second time."""
    return Response(
        encode(body).encode(), status, dict(headers or {}), media_type="application/json"
    )
