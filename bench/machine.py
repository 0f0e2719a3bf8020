"""Which machine a figure is from, and what each process costs on it."""

import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from bench.target import ProcessRow


def describe() -> str:
    """Return processor, cores, memory and Python in one line."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {psutil.cpu_count()} cores, {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def load_average() -> float:
    """Return the load of the last minute: above what the stack itself takes, others were busy."""
    return psutil.getloadavg()[0]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class CpuWatch:
    """Processor seconds of processes and their children since it was made."""

    def __init__(self, rows: Iterable[ProcessRow], others: Mapping[str, int]) -> None:
        self._pids = {row.name: row.pid for row in rows if row.pid is not None} | dict(others)
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        self._began = time.monotonic()

    def seconds(self) -> dict[str, float]:
        """Return what each has used so far."""
        return {
            name: max(0.0, cpu_seconds(pid) - self._before[name])
            for name, pid in self._pids.items()
        }

    @property
    def elapsed_seconds(self) -> float:
        """How long it has been watching."""
        return time.monotonic() - self._began


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all it started, ended ones included."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            times = member.cpu_times()
            total += times.user + times.system
            total += times.children_user + times.children_system
    except psutil.NoSuchProcess:
        return total
    return total
