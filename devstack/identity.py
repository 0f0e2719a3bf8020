"""Which process is meant: a pid and the moment it started, since pids come round again."""

import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from devstack.errors import StackError

SAME_START_SECONDS = 1.0
"""The kernel's clock of process starts and the wall clock may drift apart by this much."""


@dataclass(frozen=True)
class Identity:
    """One process of this machine, told apart from later ones with the same pid."""

    pid: int
    started_at: float


def identity_of(pid: int) -> Identity | None:
    """Return who has `pid` now, or None if nobody has."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def alive(identity: Identity) -> psutil.Process | None:
    """Return the process if it still runs (a zombie does not), else None."""
    try:
        process = psutil.Process(identity.pid)
        if abs(process.create_time() - identity.started_at) > SAME_START_SECONDS:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.Error:
        return None


def send_signal(identity: Identity, number: signal.Signals) -> bool:
    """Signal the process; False if it no longer runs. Raises `StackError` if we may not."""
    process = alive(identity)
    if process is None:
        return False
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        raise StackError(f"pid {identity.pid} belongs to another user") from None
    return True


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and everything below it."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def end(identities: Iterable[Identity], timeout_seconds: float) -> list[Identity]:
    """Ask the processes to stop, wait, kill what remains. Blocks. Return those that ran."""
    found = {identity: process for identity in identities if (process := alive(identity))}
    members = [member for process in found.values() for member in family(process)]
    for process in found.values():
        _quietly(process.terminate)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and any(_runs(member) for member in members):
        time.sleep(0.05)
    for member in members:
        _quietly(member.kill)
    return list(found)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _quietly(action: object) -> None:
    try:
        if callable(action):
            action()
    except psutil.Error:
        return
