"""Fixtures of the client's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from client.auth import BearerToken
from client.command.cli import app
from client.command.session import Wiring
from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import FakeSherwood, Naps, Run


@pytest.fixture
def server() -> FakeSherwood:
    return FakeSherwood()


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def run(server: FakeSherwood, naps: Naps, tmp_path: Path) -> Run:
    """Run the command as in a pipe, with a token."""

    def invoke(*words: str, token: str | None = "t0ken") -> Result:
        environment = {
            "SHERWOOD_API_URL": "http://sherwood.test",
            "SHERWOOD_TOKEN": token,
            "SHERWOOD_USER": None,
            "XDG_CACHE_HOME": str(tmp_path),
            "FORCE_COLOR": None,
        }
        wiring = Wiring(http_transport=server, sleep=naps)
        return CliRunner().invoke(app, list(words), env=environment, obj=wiring)

    return invoke


@pytest.fixture
async def sherwood(server: FakeSherwood, naps: Naps) -> AsyncIterator[Sherwood]:
    async with Sherwood(
        "http://sherwood.test", auth=BearerToken("t0ken"), sleep=naps, http_transport=server
    ) as client:
        yield client
