"""When placements are taken and of which symbols, as the members are told."""

from exchange.calendar import in_session, next_close_ms, next_open_ms
from exchange.protocol import Sessions, TradingStatus
from exchange.trading import Floor


class TradingBoard:
    """The newest status whole, and when to look whether it still holds.

    `sessions` may be switched while the exchange runs; like the speed, that is not journaled and
    ends with the process. What it meant for a placement is journaled with that.
    """

    def __init__(self, floor: Floor, sessions: Sessions, now_ms: int) -> None:
        self._floor = floor
        self._sessions = sessions
        self._due_ms = 0
        self.status = self._look(now_ms, version=1)

    def switch(self, sessions: Sessions) -> None:
        """Take orders by other hours from now on."""
        self._sessions = sessions
        self.touch()

    def touch(self) -> None:
        """Look again: a symbol was halted, or goes on."""
        self._due_ms = 0

    def is_open(self, now_ms: int) -> bool:
        """Whether new orders are taken."""
        if self._sessions == "regular":
            return in_session(now_ms)
        return self._sessions == "off"

    def news(self, now_ms: int) -> TradingStatus | None:
        """Return the status if it may be another one than before; next to nothing while not."""
        if now_ms < self._due_ms:
            return None
        self.status = self._look(now_ms, self.status.version + 1)
        return self.status

    def _look(self, now_ms: int, version: int) -> TradingStatus:
        opens_ms, closes_ms = next_open_ms(now_ms), next_close_ms(now_ms)
        self._due_ms = min(opens_ms, closes_ms)
        is_known = self._sessions != "closed"
        return TradingStatus(
            version=version,
            state="open" if self.is_open(now_ms) else "closed",
            sessions=self._sessions,
            next_open_ms=opens_ms if is_known else None,
            next_close_ms=closes_ms if is_known else None,
            halted=self._floor.halted(),
            at_ms=now_ms,
        )
