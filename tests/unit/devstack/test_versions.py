import pytest

from devstack.go_build import GO_MINIMUM, go_version
from devstack.temporal_binary import SERVER_MINIMUM, server_version


@pytest.mark.parametrize(
    ("text", "recent"),
    [
        ("temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)", True),
        ("temporal version 1.9.0 (Server 1.32.0, UI 2.60.0)", True),
        ("temporal version 1.5.1 (server 1.29.1) (ui 2.42.1)", False),
        ("something else", False),
    ],
)
def test_temporal_on_path_counts_only_with_a_recent_server(text: str, recent: bool) -> None:
    assert (server_version(text) >= SERVER_MINIMUM) is recent


@pytest.mark.parametrize(
    ("text", "recent"),
    [("go1.27.3", True), ("go1.26.4", True), ("go1.27", True), ("go1.26.3", False), ("", False)],
)
def test_go_on_path_counts_only_if_it_can_build_the_module(text: str, recent: bool) -> None:
    assert (go_version(text) >= GO_MINIMUM) is recent
