"""What a line of the log looks like, and what never stands in one."""

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from brokerage.runtime.logs import without_secrets

PROGRAM = """
import logging
import structlog
from brokerage.runtime.logs import bind, configure_logs
from brokerage.runtime.settings import Settings

configure_logs(Settings(), "test")
bind(order_id="o-1", user_id="alice")
log = structlog.get_logger()
log.debug("quiet")
log.info("spoken", count=2, odd=object)
logging.getLogger("some.library").info("too quiet")
logging.getLogger("some.library").warning("of %s", "a library")
try:
    secret = "hunter2"
    raise OSError("postgresql://sherwood:hunter2@db/sherwood")
except OSError:
    log.exception("failed")
"""


@cache
def lines(**settings: str) -> list[str]:
    """What that program writes to standard error, line by line."""
    variables = {f"SHERWOOD_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=variables,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_each_line_is_one_object_with_what_was_bound() -> None:
    found: list[dict[str, Any]] = [json.loads(line) for line in lines()]

    assert [line["event"] for line in found] == ["spoken", "of a library", "failed"]
    for line in found:
        assert line["process"] == "test"
        assert (line["order_id"], line["user_id"]) == ("o-1", "alice")
        assert line["timestamp"].endswith("Z")
    assert found[0]["count"] == 2
    assert (found[1]["logger"], found[1]["level"]) == ("some.library", "warning")
    assert "OSError" in found[2]["exception"]


@pytest.mark.parametrize("settings", [{}, {"log_format": "console"}])
def test_a_password_stands_in_no_line(settings: dict[str, str]) -> None:
    text = "\n".join(lines(**settings))

    assert "postgresql://sherwood:[hidden]@db/sherwood" in text
    assert "hunter2" not in text


def test_the_form_for_people_has_no_colours_where_it_is_no_terminal() -> None:
    text = "\n".join(lines(log_format="console"))

    assert "\x1b" not in text
    assert "spoken" in text
    assert "order_id=o-1" in text


def test_the_level_is_a_setting() -> None:
    names = [json.loads(line)["event"] for line in lines(log_level="debug")]

    assert names == ["quiet", "spoken", "of a library", "failed"]


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer [hidden]"),
        ("GET /subscribe?ticket=s3cret&symbols=A", "GET /subscribe?ticket=[hidden]&symbols=A"),
        (f'{{"token": "{TOKEN}"}}', '{"token": "[hidden]"}'),
        ("nats://me:s3cret@host:4222", "nats://me:[hidden]@host:4222"),
        ("http://127.0.0.1:8000/a?b=c", "http://127.0.0.1:8000/a?b=c"),
        ("at 12:30:45 nothing", "at 12:30:45 nothing"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(line: str, shown: str) -> None:
    assert without_secrets(line) == shown
