"""A start from a loss begins with what it needs, and says which part is missing."""

from pathlib import Path

import pytest

from brokerage.runtime.settings import Settings
from devstack import backups
from devstack.errors import StackError
from devstack.home import Home
from devstack.recovery import recover
from devstack.settings import own_servers
from tests.support.nats_server import NatsServer
from tests.support.ports import free_port
from workers.recover import preconditions
from workers.recover.jetstream import recover_jetstream
from workers.recover.preconditions import Refused
from workers.recover.temporal import recover_temporal


def nothing(line: str) -> None:
    raise AssertionError(f"it began: {line}")


async def test_jetstream_is_not_recovered_without_a_feed(nats: NatsServer) -> None:
    with pytest.raises(Refused, match="no feed runs"):
        await recover_jetstream(Settings(nats_url=nats.url), nothing)


async def test_temporal_is_not_recovered_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions, "LOOK_SECONDS", 0.5)

    with pytest.raises(Refused, match="Temporal does not answer"):
        await recover_temporal(Settings(temporal_address=f"127.0.0.1:{free_port()}"), nothing)


def test_a_stack_that_does_not_run_is_recovered_after_a_restore_of_postgres_only(
    tmp_path: Path,
) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path})

    with pytest.raises(StackError, match="nothing runs"):
        recover(settings, "temporal")


async def test_a_backup_is_made_of_a_server_of_ours_that_runs(tmp_path: Path) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path / "home"})

    with pytest.raises(StackError, match="no Postgres of ours runs"):
        await backups.back_up(settings, Home(settings.home), tmp_path / "backup")
    elsewhere = settings.model_copy(update={"database_url": "postgresql://elsewhere/sherwood"})
    with pytest.raises(StackError, match="not ours"):
        await backups.back_up(elsewhere, Home(settings.home), tmp_path / "backup")
    with pytest.raises(StackError, match="not ours"):
        await backups.put_back(elsewhere, Home(settings.home), tmp_path / "backup")


async def test_only_a_backup_is_put_back(tmp_path: Path) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path / "home"})
    home = Home(settings.home)
    home.create()

    with pytest.raises(StackError, match="holds no backup"):
        await backups.put_back(settings, home, tmp_path)
