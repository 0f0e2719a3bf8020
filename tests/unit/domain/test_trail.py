"""What is sealed is sealed whole: no two rows that differ have the same digest."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.trail import (
    ACTS,
    COLUMNS,
    EVENTS,
    NOTES,
    SCHEME,
    TIMES,
    ActsCheck,
    Tampered,
    digest,
    seal,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

TEXTS = st.none() | st.text()
NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.integers(0, 2**52).map(lambda count: EPOCH + timedelta(microseconds=count))


def rows(table: str) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of a table with anything in any column, as drivers give it."""
    return st.fixed_dictionaries(
        {column: MOMENTS if column in TIMES else TEXTS | NUMBERS for column in COLUMNS[table]}
    )


@given(st.sampled_from(sorted(COLUMNS)).flatmap(lambda t: st.tuples(st.just(t), rows(t), rows(t))))
def test_two_rows_have_the_same_digest_only_if_they_are_the_same(
    case: tuple[str, dict[str, Any], dict[str, Any]],
) -> None:
    table, one, other = case

    assert (digest(table, one) == digest(table, other)) == (one == other)


@given(st.data())
def test_a_digest_depends_on_every_column(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(COLUMNS)))
    row = data.draw(rows(table))
    column = data.draw(st.sampled_from(COLUMNS[table]))
    value = data.draw(MOMENTS if column in TIMES else TEXTS | NUMBERS)

    changed = {**row, column: value}

    assert (digest(table, changed) == digest(table, row)) == (value == row[column])


def test_the_same_row_of_another_table_has_another_digest() -> None:
    row = dict.fromkeys((*COLUMNS[EVENTS], *COLUMNS[NOTES]), "x")

    assert digest(EVENTS, row) != digest(NOTES, row)


def test_the_rule_of_scheme_one_is_what_it_was() -> None:
    """Hashes are kept for years: this one was computed when the scheme was made."""
    act = {
        "act_id": 1,
        "at": EPOCH + timedelta(microseconds=1_800_000_000_000_001),
        "operator": "olga",
        "address": "192.0.2.7",
        "act": "account-state",
        "subject": "ada",
        "before": '"active"',
        "after": '"frozen"',
        "reason": 'she said "ü"\n',
    }

    assert SCHEME == b"\x01"
    assert seal(ACTS, act, None).hex() == (
        "01cafcfb3a33c4a74dbbe08943edccd2e6baefa6a8a2e691cb533650f02674650b"
    )


def an_act(number: int, previous: bytes | None) -> dict[str, Any]:
    act = dict.fromkeys(COLUMNS[ACTS], "x") | {"act_id": number, "at": EPOCH}
    return {**act, "hash": seal(ACTS, act, previous)}


def chain(length: int) -> list[dict[str, Any]]:
    acts: list[dict[str, Any]] = []
    for number in range(1, length + 1):
        acts.append(an_act(number, acts[-1]["hash"] if acts else None))
    return acts


def found_in(acts: list[dict[str, Any]], end: int, newest: bytes | None) -> list[Tampered]:
    """What a check finds that is given the acts one by one."""
    check = ActsCheck()
    for act in acts:
        check.look_at([act])
    check.end(end, newest)
    return check.found


def test_a_chain_is_whole_in_whatever_parts_it_is_read() -> None:
    acts = chain(5)

    assert found_in(acts, 5, acts[-1]["hash"]) == []
    assert found_in([], 0, None) == []


@given(st.integers(0, 4), st.sampled_from(COLUMNS[ACTS][2:]))
def test_one_act_of_a_chain_that_was_changed_is_named_alone(position: int, column: str) -> None:
    acts = chain(5)
    newest = acts[-1]["hash"]
    value = EPOCH + timedelta(seconds=1) if column == "at" else "y"
    acts[position] = {**acts[position], column: value}

    assert found_in(acts, 5, newest) == [Tampered(ACTS, str(position + 1), "changed")]


def test_acts_from_before_the_chain_are_passed_over_and_none_may_come_later() -> None:
    old = {**an_act(1, None), "hash": None}
    first = an_act(2, None)

    assert found_in([old, first], 2, first["hash"]) == []
    assert found_in([first | {"act_id": 1}, old | {"act_id": 2}], 2, None) != []
