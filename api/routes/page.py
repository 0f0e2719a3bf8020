"""The page: its own files, and those of installed packages that it shows. No build, no copy.

Every answer is checked anew by its ETag, so a release is seen at once, and carries a policy under
which a browser runs and loads nothing that this process does not serve.
"""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

WEB: Final = Path(__file__).parents[2] / "web"
VENDOR: Final = frozenset({"lightweight-charts.js", "swagger-ui-bundle.js", "swagger-ui.css"})
"""What is served of the packages; the rest of their folders is nobody's business."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

router = APIRouter(include_in_schema=False)
_own = StaticFiles(directory=WEB)
# Found, never imported: neither package is wanted for its Python.
_packages = StaticFiles(packages=[("lightweight_charts", "js"), ("fastapi_offline", "static")])


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return await _served(_own, "index.html", request)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def documentation(request: Request) -> Response:
    """The API's description, shown by Swagger UI."""
    return await _served(_own, "docs.html", request)


@router.api_route("/web/vendor/{name}", methods=["GET", "HEAD"])
async def vendor_file(request: Request, name: str) -> Response:
    """A file of an installed package."""
    if name not in VENDOR:
        raise HTTPException(404)
    return await _served(_packages, name, request)


@router.api_route("/web/{path:path}", methods=["GET", "HEAD"])
async def own_file(request: Request, path: str) -> Response:
    """A file of `web/`."""
    return await _served(_own, path, request)


async def _served(files: StaticFiles, path: str, request: Request) -> Response:
    """The file, or 304 where the browser has it; raises HTTPException 404."""
    response = await files.get_response(path, request.scope)
    response.headers.update(HEADERS)
    return response
