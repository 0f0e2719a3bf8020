"""`python -m tests.support.decoding_at_once`: threads that read types for the first time together.

A process of its own, because what goes wrong there ends it.
"""

import sys
from dataclasses import make_dataclass
from threading import Barrier, Thread
from typing import Any, Final

from temporalio.api.common.v1 import Payload

from workflows.converter import MsgspecPayloadConverter

TYPES: Final = 1_000
THREADS: Final = 4
PAYLOAD: Final = Payload(data=b'{"number": 1, "word": "x", "items": [2], "inner": {"deep": 3}}')


def read_at_once(type_hint: Any) -> list[Any]:
    """What each thread reads."""
    converter, together = MsgspecPayloadConverter(), Barrier(THREADS)
    found: list[Any] = []

    def read() -> None:
        together.wait()
        found.append(converter.from_payload(PAYLOAD, type_hint))

    threads = [Thread(target=read) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> None:
    """Read many types, each new to all threads."""
    sys.setswitchinterval(1e-6)
    for _ in range(TYPES):
        inner = make_dataclass("Inner", [("deep", int)])
        fields: list[tuple[str, Any]] = [
            ("number", int),
            ("word", str),
            ("items", list[int]),
            ("inner", inner),
        ]
        outer = make_dataclass("Outer", fields)
        assert read_at_once(outer) == [outer(1, "x", [2], inner(3))] * THREADS


if __name__ == "__main__":
    main()
