"""How much of what the exchange reported is set aside: parked, or dead letters."""

from brokerage.bus.connection import Bus, bus_errors
from brokerage.contracts.subjects import DEAD_STREAM, PARKED_STREAM, dead_subject, parked_subject


class SetAside:
    """Counts by the exchange's order id, of all orders or one. Raises `BusUnavailable`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def parked(self, external_order_id: str = ">") -> dict[str, int]:
        """Reports that wait for their order."""
        return await self._counts(PARKED_STREAM, parked_subject(external_order_id))

    async def dead(self, external_order_id: str = ">") -> dict[str, int]:
        """Reports that belong to no order of ours."""
        return await self._counts(DEAD_STREAM, dead_subject(external_order_id))

    async def _counts(self, stream: str, subjects: str) -> dict[str, int]:
        with bus_errors(subjects):
            info = await self._bus.jetstream.stream_info(stream, subjects_filter=subjects)
        counts = info.state.subjects or {}
        return {subject.partition(".")[2]: count for subject, count in counts.items()}
