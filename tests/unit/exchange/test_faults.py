"""Which calls a rule strikes, and how often."""

import msgspec
import pytest

from exchange.faults import Call, FaultRules, RuleError, RuleMatch, RuleRequest

PLACE = Call("place", "m", "AAPL", "c1", "acct")


def test_rule_strikes_what_it_matches_as_often_as_it_says() -> None:
    rules = FaultRules(seed=1)
    rule = rules.add(RuleRequest("error", RuleMatch(symbol="AAPL"), times=2))

    struck = [rules.strike_call([call]) for call in (PLACE, Call("query", "m"), PLACE, PLACE)]

    assert [one is not None for one in struck] == [True, False, True, False]
    assert (rule.matched, rule.fired) == (2, 2)


@pytest.mark.parametrize(
    "match",
    [
        RuleMatch(route="cancel"),
        RuleMatch(symbol="IBM"),
        RuleMatch(account="other"),
        RuleMatch(client_order_id="c2"),
        RuleMatch(member="n"),
    ],
)
def test_rule_leaves_other_calls_alone(match: RuleMatch) -> None:
    rules = FaultRules(seed=1)
    rules.add(RuleRequest("hang", match))

    assert rules.strike_call([PLACE]) is None


def test_skipped_calls_pass_first() -> None:
    rules = FaultRules(seed=1)
    rules.add(RuleRequest("drop", skip=2, times=1))

    struck = [rules.strike_call([PLACE]) is not None for _ in range(4)]

    assert struck == [False, False, True, False]


def test_probability_strikes_some_and_the_same_ones_for_the_same_seed() -> None:
    def run() -> list[bool]:
        rules = FaultRules(seed=5)
        rules.add(RuleRequest("drop", probability=0.5))
        return [rules.strike_call([PLACE]) is not None for _ in range(100)]

    assert run() == run()
    assert 20 < sum(run()) < 80


def test_faults_of_orders_strike_each_order_and_those_of_calls_the_whole_call() -> None:
    rules = FaultRules(seed=1)
    rules.add(RuleRequest("refuse", RuleMatch(route="place")))
    rules.add(RuleRequest("delay", RuleMatch(route="place")))

    order, call = rules.strike_order(PLACE), rules.strike_call([PLACE, PLACE])

    assert order is not None
    assert call is not None
    assert (order.action, call.action) == ("refuse", "delay")


def test_order_that_is_not_to_arrive_does_not_arrive_beside_one_whose_answer_is_lost() -> None:
    rules = FaultRules(seed=1)
    rules.add(RuleRequest("accept-then-drop", RuleMatch(client_order_id="answered"), times=1))
    rules.add(RuleRequest("drop", RuleMatch(client_order_id="lost")))
    answered, lost = (Call("place", "m", client_order_id=name) for name in ("answered", "lost"))

    together, alone = rules.strike_call([answered, lost]), rules.strike_call([answered])

    assert together is not None
    assert alone is not None
    assert (together.action, alone.action) == ("drop", "accept-then-drop")


def test_rule_that_can_do_nothing_on_its_route_is_refused() -> None:
    rules = FaultRules(seed=1)

    with pytest.raises(RuleError):
        rules.add(RuleRequest("late-fill", RuleMatch(route="query")))


def test_unknown_fields_and_actions_are_no_rule() -> None:
    for body in (b'{"action":"explode"}', b'{"action":"drop","match":{"colour":"red"}}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=RuleRequest)
