import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from devstack.services import MODULES
from tests.support.deployment import DOCKER, ROOT, settings_of

# Continued lines are one, comments are none.
INSTRUCTIONS: Final = [
    line.split(maxsplit=1)
    for line in re.sub(
        r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text())
    ).splitlines()
    if line
]
COPIED: Final = [
    (source, Path(words[-1]))
    for instruction, rest in INSTRUCTIONS
    if instruction == "COPY" and "--from" not in rest
    for words in [rest.split()]
    for source in words[:-1]
]
ONLY_FOR_DEVELOPMENT: Final = {"devstack", "bench"}

REFUSING: Final = """
import importlib, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not in the image")

refused = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Refusing())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def _lock(name: str) -> str:
    return (ROOT / "requirements" / name).read_text()


def test_what_is_copied_is_there_and_is_every_package_that_a_process_needs() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    sources = {source for source, _ in COPIED}

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert set(packages["targets"]["wheel"]["packages"]) - sources == ONLY_FOR_DEVELOPMENT
    assert sources & ONLY_FOR_DEVELOPMENT == set()


def test_every_process_can_be_imported_from_what_is_copied_and_locked(tmp_path: Path) -> None:
    for source, target in COPIED:
        if target.parts[1] == "app" and (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source,
                tmp_path / target.relative_to("/app"),
                # Other processes write there, and rename what they wrote.
                ignore=shutil.ignore_patterns("__pycache__"),
            )
    locked = {
        re.sub(r"[-_.]+", "-", name).lower()
        for name in re.findall(r"(?m)^([\w.-]+)==", _lock("runtime.txt"))
    }
    absent = [
        name
        for name, distributions in packages_distributions().items()
        if not locked & {re.sub(r"[-_.]+", "-", each).lower() for each in distributions}
        and not (tmp_path / name).exists()
    ]
    entries = [f"{module}.__main__" if "." not in module else module for module in MODULES.values()]

    # -S: without what an editable installation adds to the path.
    imported = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            REFUSING,
            ",".join(absent),
            *entries,
            "workers.recover.__main__",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{sysconfig.get_path('purelib')}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "pytest" in absent
    assert (imported.returncode, imported.stderr) == (0, "")


def test_the_image_has_the_python_that_the_versions_are_locked_for() -> None:
    [image] = re.findall(
        r"(?m)^ARG PYTHON=python:(\d+\.\d+)-slim", (DOCKER / "Dockerfile").read_text()
    )

    for lock in ("runtime.txt", "build.txt"):
        assert f"--python-version {image} " in _lock(lock)


def test_the_package_is_built_with_what_every_checkout_is_built_with() -> None:
    pins = re.findall(r"(?m)^[\w.-]+==\S+", _lock("build.txt"))

    assert pins
    assert [pin for pin in pins if pin not in _lock("dev.txt")] == []


def test_a_container_runs_as_nobody_in_particular_and_answers_on_one_port() -> None:
    environment = dict(
        pair.split("=", 1)
        for instruction, rest in INSTRUCTIONS
        if instruction == "ENV" and "PIP_" not in rest
        for pair in shlex.split(rest)
    )
    last = dict(INSTRUCTIONS)
    settings = settings_of(environment)

    assert last["USER"] == "10001:10001"
    assert {int(value) for name, value in settings.items() if name.endswith("port")} == {
        int(last["EXPOSE"])
    }
    assert {value for name, value in settings.items() if name.endswith("host")} == {"0.0.0.0"}
    assert environment["PATH"].startswith("/opt/sherwood/bin:")
