"""How an exchange comes up: a journal is begun, or replayed from its newest checkpoint."""

import secrets
from collections.abc import Iterator
from typing import Final

import structlog

from exchange.directory import Security, securities
from exchange.engine import Engine
from exchange.inputs import Outcome
from exchange.journal import Journal, JournalError, encode_outcome
from exchange.market import Market
from exchange.records import NoArchive
from exchange.registry import Registry
from exchange.settings import Settings
from exchange.tape import Tape, load_tape

log = structlog.get_logger()

FORMAT: Final = "1"
_RATE_SPEED: Final = 20.0
"""The speed at which the rates of the walk are given."""


def market_facts(settings: Settings, tape: Tape, listed: tuple[Security, ...]) -> dict[str, str]:
    """Return what decides the market; a journal keeps it, and replays only with the same."""
    walkers = max(0, len(listed) - len(tape.symbols))
    rate = min(walkers * settings.walk_prints_per_second, settings.walk_prints_per_second_max)
    return {
        "format": FORMAT,
        "seed": str(settings.seed),
        "symbols": str(len(listed)),
        "tape": tape.checksum,
        "walk_prints_per_second": repr(rate / _RATE_SPEED),
    }


def open_engine(settings: Settings, journal: Journal) -> tuple[Engine, tuple[Security, ...]]:
    """Return an engine that stands where the journal ends.

    Raises:
        JournalError: the journal is another market's, or its replay gives something else.
    """
    tape = load_tape(settings.tape)
    listed = securities(settings.symbols)
    wanted = market_facts(settings, tape, listed)
    facts = journal.facts()
    if not facts:
        facts = wanted | {"session": secrets.token_hex(3).upper()}
        journal.note_facts(facts)
    for name, value in wanted.items():
        if facts.get(name) != value:
            raise JournalError(
                f"{journal.path} was begun with {name} {facts.get(name)}, not {value}:"
                " start it the same way, or begin another journal"
            )
    engine = _engine(facts, tape, listed, journal, settings.days)
    checkpoint = journal.checkpoint()
    if checkpoint is not None:
        engine.restore(checkpoint)
    journal.look_as_of(engine.input_number)
    count = 0
    for entry, recorded in journal.entries(engine.input_number):
        if encode_outcome(engine.replay(entry)) != recorded:
            raise JournalError(f"input {entry.number} of {journal.path} replays differently")
        count += 1
    position, at_ms = journal.market()
    engine.run_to(position, at_ms)
    engine.registry.take_changes()
    engine.floor.trades.clear()
    if engine.registry.take_messages():
        raise JournalError(f"{journal.path} lacks executions at its end")
    journal.look_as_of(None)
    log.info("journal_opened", inputs=engine.input_number, replayed=count, position=position)
    return engine, listed


def replay(settings: Settings, journal: Journal) -> Iterator[tuple[Outcome, bytes]]:
    """Go through a journal from its very beginning: each outcome anew, and as it was recorded.

    Raises:
        JournalError: the journal is another market's.
    """
    facts = journal.facts()
    tape = load_tape(settings.tape)
    if facts.get("format") != FORMAT or facts["tape"] != tape.checksum:
        raise JournalError("the journal was begun with another tape, or is no journal")
    engine = _engine(facts, tape, securities(int(facts["symbols"])), None)
    for entry, recorded in journal.entries():
        yield engine.replay(entry), recorded
        engine.floor.trades.clear()
        engine.registry.take_changes()


def _engine(
    facts: dict[str, str],
    tape: Tape,
    listed: tuple[Security, ...],
    journal: Journal | None,
    days_max: int | None = None,
) -> Engine:
    market = Market(
        listed,
        tape,
        seed=int(facts["seed"]),
        walk_prints_per_second=float(facts["walk_prints_per_second"]),
        days_max=days_max,
    )
    archive = NoArchive() if journal is None else journal
    return Engine(listed, market, Registry(facts["session"], archive))
