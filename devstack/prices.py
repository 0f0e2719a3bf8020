"""Does every symbol have a price? The last thing a stack waits for before it calls itself ready."""

from typing import Final

import httpx

TIMEOUT_SECONDS: Final = 5.0
USER: Final = "devstack"


async def every_symbol_has_a_price(api_url: str) -> bool:
    """True if `GET /symbols` names at least one symbol and no price in it is missing."""
    # No proxy of the environment may stand between us and our own machine.
    async with httpx.AsyncClient(
        base_url=api_url, trust_env=False, timeout=TIMEOUT_SECONDS
    ) as client:
        try:
            answer = await client.get("/symbols")
            if answer.status_code == 401:
                token = (await client.post("/dev/token", json={"user": USER})).json()["token"]
                headers = {"Authorization": f"Bearer {token}"}
                answer = await client.get("/symbols", headers=headers)
            items = answer.raise_for_status().json()["items"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False
    return bool(items) and all(item.get("priceInCents") is not None for item in items)
