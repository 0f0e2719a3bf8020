"""Programs that a machine may have, and tests use where it has them."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, Error, async_playwright

START_MS: Final = 120_000
QUIET: Final = (
    "--disable-dev-shm-usage",  # in a container it is small
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class CannotRun(Exception):
    """This machine does not have what a test needs; says what that is."""


def found(*names: str) -> str:
    """The first of these programs that is on PATH. Raises `CannotRun`."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise CannotRun(f"{' or '.join(names)} is not installed")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser that asks nobody for anything but its pages: the one that `SHERWOOD_CHROMIUM`
    names, else this machine's, else Playwright's own. Raises `CannotRun`.
    """
    path = os.environ.get("SHERWOOD_CHROMIUM")  # noqa: TID251 - of tests alone
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = path or shutil.which(name)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=path, args=[*QUIET, *arguments], timeout=START_MS
            )
        except Error as error:
            reason = error.message.splitlines()[0]
            raise CannotRun(
                f"no Chromium starts here ({reason}): install one, have `playwright install "
                "chromium` get it, or name its binary in SHERWOOD_CHROMIUM"
            ) from error
        try:
            yield browser
        finally:
            await browser.close()
