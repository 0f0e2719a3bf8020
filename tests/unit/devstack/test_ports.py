import os
import socket
from collections.abc import Iterator

import pytest

from devstack.errors import PortsBusy
from devstack.ports import HOST, FreePorts, is_free, usual_port, usual_ports
from devstack.services import all_names


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        yield server


def test_a_listening_port_is_not_free(listener: socket.socket) -> None:
    assert not is_free(listener.getsockname()[1])


def test_busy_ports_are_named_with_their_holder(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setattr("devstack.ports.USUAL", {"api": port})

    with pytest.raises(PortsBusy) as refusal:
        usual_ports(["api"])

    assert f"{port} (api)" in str(refusal.value)
    assert f"pid {os.getpid()}" in str(refusal.value)


def test_free_ports_differ_from_each_other_and_keep_preferred_ones() -> None:
    with FreePorts() as free:
        wanted = free.choose(["api"], preferred={})

        ports = free.choose(["api", "nats", "postgres"], preferred=wanted)

        assert ports["api"] == wanted["api"]
        assert len(set(ports.values())) == 3
        assert all(is_free(port) for port in ports.values())


def test_a_chosen_port_is_left_to_its_server_and_not_to_another_stack() -> None:
    with FreePorts() as free:
        port = free.choose(["api"], preferred={})["api"]

        with pytest.raises(OSError, match="in use"), socket.socket() as other_stack:
            other_stack.bind((HOST, port))
        with socket.create_server((HOST, port)):  # as servers do, with SO_REUSEADDR
            assert not is_free(port)


def test_a_preferred_port_that_is_taken_is_replaced(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]

    with FreePorts() as free:
        assert free.choose(["api"], preferred={"api": taken})["api"] != taken


def test_every_process_has_a_port_of_its_own() -> None:
    names = [name for name in all_names(workers=4, apis=2) if name != "migrations"]

    assert len({usual_port(name) for name in names}) == len(names)
