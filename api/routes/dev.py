"""The development issuer: a token and an account for whoever asks. Never mounted in production."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from api.auth import issue_token
from api.bodies import json_response, read_json
from api.documentation import BODY_PROBLEMS, body, problems
from api.live_prices import live_prices
from api.node import Node
from api.schemas import TokenBody, TokenRequest
from brokerage.contracts.views import format_time
from brokerage.storage.openings import (
    DEVELOPMENT_CASH_CENTS,
    DEVELOPMENT_SHARES,
    open_account,
)
from brokerage.storage.reads import has_account

router = APIRouter(tags=["development"])


@router.post(
    "/dev/token",
    summary="A token for a user name",
    openapi_extra=body(TokenRequest),
    responses={
        200: {"model": TokenBody},
        **problems(*BODY_PROBLEMS, "unavailable"),
    },
)
async def issue_development_token(request: Request, node: Node) -> Response:
    """The user's first token opens an account with cash and a few shares."""
    wanted = await read_json(request, TokenRequest)
    text, expires_at = issue_token(node.settings, wanted.user, wanted.scope)
    if not await has_account(node.pool, wanted.user):
        prices = await live_prices(node, list(DEVELOPMENT_SHARES))
        await open_account(
            node.pool, wanted.user, DEVELOPMENT_CASH_CENTS, DEVELOPMENT_SHARES, prices
        )
    return json_response(
        {
            "token": text,
            "expiresAt": format_time(datetime.fromtimestamp(expires_at, UTC)),
            "user": wanted.user,
        }
    )
