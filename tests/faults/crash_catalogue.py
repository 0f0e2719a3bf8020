"""All crash points, in the order of an order's life."""

from typing import Final

from tests.faults.crash_cancelling import CANCELLING
from tests.faults.crash_filling import FILLING
from tests.faults.crash_placing import PLACING

POINTS: Final = (*PLACING, *CANCELLING, *FILLING)
BY_NAME: Final = {point.name: point for point in POINTS}
