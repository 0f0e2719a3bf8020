import stat
from pathlib import Path

import pytest

from devstack.errors import AlreadyRunning
from devstack.home import Home


def test_a_held_home_refuses_a_second_supervisor(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    with home.locked():
        home.write_state({"supervisor": {"pid": 4711}})

        assert home.is_held()
        with pytest.raises(AlreadyRunning, match="pid 4711"), home.locked():
            pass

    assert not home.is_held()


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path)

    secret = home.secret("token-secret")

    assert home.secret("token-secret") == secret
    assert len(secret) >= 32
    assert stat.S_IMODE((tmp_path / "token-secret").stat().st_mode) == 0o600


def test_state_is_read_back_as_written_and_private(tmp_path: Path) -> None:
    home = Home(tmp_path)

    home.write_state({"phase": "ready"})

    assert home.read_state() == {"phase": "ready"}
    assert stat.S_IMODE(home.state_file.stat().st_mode) == 0o600


def test_a_home_without_state_is_empty(tmp_path: Path) -> None:
    assert Home(tmp_path / "nothing").read_state() == {}


def test_wipe_removes_what_was_made_here_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.create()
    (home.root / "postgres" / "data").mkdir(parents=True)
    home.secret("token-secret")
    (home.root / "state.json.new").touch()  # of a supervisor killed while it wrote
    (home.root / "notes.txt").write_text("not ours")

    home.wipe()

    assert [path.name for path in home.root.iterdir()] == ["notes.txt"]


def test_wipe_removes_an_otherwise_empty_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.create()

    home.wipe()

    assert not home.root.exists()


def test_wipe_follows_no_link_out_of_home(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    home = Home(tmp_path / "state")
    home.create()
    (home.root / "postgres").symlink_to(elsewhere)

    home.wipe()

    assert (elsewhere / "kept").exists()
