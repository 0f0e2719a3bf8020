import msgspec
import pytest

from streaming.directory import Directory


def test_directory_knows_names_and_sorts_symbols() -> None:
    directory = Directory()
    assert not directory.ready

    directory.load(b'[{"symbol":"META","name":"Meta"},{"symbol":"BRK.B","name":"Berkshire"}]')

    assert directory.ready
    assert directory.symbols == ["BRK.B", "META"]
    assert directory.name_of("BRK.B") == "Berkshire"
    assert directory.name_of("BRK_B") is None


def test_unreadable_directory_leaves_the_one_that_is_known() -> None:
    directory = Directory()
    directory.load(b'[{"symbol":"META","name":"Meta"}]')

    with pytest.raises(msgspec.DecodeError):
        directory.load(b'[{"symbol":7}]')

    assert directory.symbols == ["META"]
