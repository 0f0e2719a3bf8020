"""`up --detach`: the supervisor goes to the background, its progress comes to the terminal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from devstack.home import Home
from devstack.process import open_log
from devstack.settings import CHECKOUT

LOOK_SECONDS: Final = 0.1


def start(home: Home, console: Console, arguments: Sequence[str]) -> int:
    """Start the supervisor in a session of its own; return 0 when it says that all is ready.

    What it writes is shown meanwhile. If it ends instead, its exit code is returned and nothing
    runs. Ctrl-C here stops it. Raises `AlreadyRunning`.
    """
    with home.locked():  # asked here so that the answer is on this terminal
        pass
    passed = [argument for argument in arguments if argument not in ("--detach", "-d")]
    command = (sys.executable, "-m", "devstack", *passed, "--in-background")
    path = home.log_of("supervisor")
    log = open_log(path, command)
    position = path.stat().st_size
    try:
        supervisor = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    with path.open("rb") as said:
        said.seek(position)
        try:
            while True:
                ended = supervisor.poll()
                state = home.read_state()
                sys.stdout.write(said.read().decode(errors="replace"))
                sys.stdout.flush()
                if ended is not None:
                    return ended or 1
                mine = (state.get("supervisor") or {}).get("pid") == supervisor.pid
                if mine and state.get("phase") == "ready":
                    break
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            console.print("stopping")
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait()
            return 130
    console.print(f"running in the background (pid {supervisor.pid}); stop it with: make down")
    return 0
