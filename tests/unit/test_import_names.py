"""Our package names are plain words: a distribution that ships one of them too is noticed here."""

import importlib.util
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DISTRIBUTION: Final = "sherwood"


def _packages() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        names: list[str] = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"][
            "packages"
        ]
    return [name for name in names if (ROOT / name / "__init__.py").exists()]


@pytest.mark.parametrize("name", _packages())
def test_a_package_name_means_the_folder_in_this_repository(name: str) -> None:
    found = importlib.util.find_spec(name)

    assert found is not None
    assert found.origin is not None
    assert Path(found.origin) == ROOT / name / "__init__.py"


@pytest.mark.parametrize("name", _packages())
def test_no_other_distribution_ships_the_name(name: str) -> None:
    owners = set(packages_distributions().get(name, []))

    assert owners <= {DISTRIBUTION}


def test_docker_is_no_package() -> None:
    # An `__init__.py` there would hide the Docker SDK from every tool that imports it.
    assert not (ROOT / "docker" / "__init__.py").exists()
