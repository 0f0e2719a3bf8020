"""The symbols of the exchange: real US names with the prices of late 2013, and made-up ones."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Final

_STEMS: Final = """
Alder Amber Anchor Apex Arbor Atlas Aurora Beacon Birch Blue Bright Cedar Cinder Clear Cobalt
Copper Coral Crest Crown Delta Drift Eagle East Ember Falcon Fern First Flint Forge Garnet Glen
Granite Harbor Haven Hazel Heron Hill Indigo Iron Ivory Jade Juniper Keystone Lake Lark Laurel
Liberty Linden Lunar Maple Meridian Mesa Mill North Oak Onyx Orchard Osprey Pacific Pine Pioneer
Prairie Quartz Quill Raven Red Ridge River Rowan Sable Sage Salt Sierra Silver South Spruce
Sterling Stone Summit Sun Tamarack Terra Thorn Tide Timber Union Vale Vantage Vertex Vista Walnut
West White Willow Wind Wren Zenith
"""
_TRADES: Final = """
Airlines Bancorp Biosciences Brands Capital Chemical Communications Devices Dynamics Energy
Entertainment Financial Foods Freight Genomics Health Holdings Hotels Industries Insurance
Instruments Labs Logistics Machinery Materials Media Metals Mining Motors Networks Oil Optics
Packaging Paper Petroleum Pharma Power Properties Rail Realty Resources Retail Robotics
Semiconductor Shipping Software Solar Steel Storage Systems Technologies Therapeutics Utilities
Ventures Water
"""
_ENDINGS: Final = ("Inc.", "Corp.", "Co.", "Group")


@dataclass(frozen=True, slots=True)
class Security:
    """One symbol: its name, and the price its random walk starts from."""

    symbol: str
    name: str
    base_cents: int


@cache
def real_securities() -> tuple[Security, ...]:
    """Return the real symbols, in the order of the list that ships with the exchange."""
    text = resources.files("exchange").joinpath("listings.csv").read_text(encoding="utf-8")
    rows = (line.rsplit(",", 1) for line in text.splitlines()[1:])
    securities = []
    for head, cents in rows:
        symbol, name = head.split(",", 1)
        securities.append(Security(symbol, name.strip('"'), int(cents)))
    return tuple(securities)


def securities(count: int | None) -> tuple[Security, ...]:
    """Return `count` securities: the real ones first, then as many made-up ones as it takes.

    The same count gives the same list, always. None: the real ones alone.

    Raises:
        ValueError: fewer than the real ones, or more than there are made-up names for.
    """
    real = real_securities()
    if count is None or count == len(real):
        return real
    if count < len(real):
        raise ValueError(f"at least {len(real)} symbols, the real ones")
    taken = {security.symbol for security in real}
    made_up: list[Security] = []
    # Endings vary slowest, so that the first thousands differ in more than their ending.
    for ending, trade, stem in product(_ENDINGS, _TRADES.split(), _STEMS.split()):
        if len(made_up) == count - len(real):
            return real + tuple(made_up)
        symbol = _made_up_symbol(stem, trade, taken)
        taken.add(symbol)
        number = len(made_up)
        base_cents = 400 + (number * 7919) % 14_600
        made_up.append(Security(symbol, f"{stem} {trade} {ending}", base_cents))
    if len(made_up) == count - len(real):
        return real + tuple(made_up)
    raise ValueError(f"at most {len(real) + len(made_up)} symbols")


def _made_up_symbol(stem: str, trade: str, taken: set[str]) -> str:
    """Return a free symbol of four or five letters that resembles the name."""
    letters = (stem + trade).upper()
    first = (letters[:2] + trade[:2].upper(), letters[:3] + trade[0].upper())
    for symbol in first:
        if symbol not in taken:
            return symbol
    for one, two in product("AEIOULNRSTXZBCDFGHJKMPQVWY", repeat=2):
        symbol = letters[:2] + trade[0].upper() + one + two
        if symbol not in taken:
            return symbol
    raise ValueError("no free symbol")
