"""Fixtures of the client's tests."""

import pytest

from tests.unit.client.fake_sherwood import FakeSherwood, Naps


@pytest.fixture
def server() -> FakeSherwood:
    return FakeSherwood()


@pytest.fixture
def naps() -> Naps:
    return Naps()
