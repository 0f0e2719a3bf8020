"""How many replicas Kubernetes' autoscaler wants for a backlog. Pure.

KEDA hands a figure to a HorizontalPodAutoscaler, which does the rest: `autoscaling/v2` with an
external metric of the type `AverageValue`. What is here follows that controller's algorithm: the
tolerance, the stabilization windows, and the limits of how much may change within a period.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Final, Literal, Self

TOLERANCE: Final = 0.1
"""A backlog this near to its target changes nothing."""
SYNC_SECONDS: Final = 15.0
"""How often the controller decides, by its own default: no manifest says it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Within any `period_seconds`, no more than `value` replicas, or percent of them, change."""

    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True)
class Direction:
    """How it goes up, or down: to the least change wanted within the window, as far as the most
    generous of the policies lets it.
    """

    window_seconds: float
    policies: Sequence[Policy]


UP: Final = Direction(0.0, (Policy("Percent", 100, 15.0), Policy("Pods", 4, 15.0)))
DOWN: Final = Direction(300.0, (Policy("Percent", 100, 15.0),))
"""What holds where a manifest is silent."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`target` is the backlog that one replica may have."""

    target: int
    replicas_min: int
    replicas_max: int
    up: Direction = UP
    down: Direction = DOWN
    sync_seconds: float = SYNC_SECONDS

    @classmethod
    def of_manifest(cls, scaled_object: Mapping[str, Any]) -> Self:
        """What a ScaledObject with one trigger `temporal` says. Raises ValueError, KeyError."""
        spec = scaled_object["spec"]
        (trigger,) = (one for one in spec["triggers"] if one["type"] == "temporal")
        advanced = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
        behaviour = advanced.get("behavior", {})
        return cls(
            target=int(trigger["metadata"].get("targetQueueSize", 5)),
            replicas_min=spec.get("minReplicaCount", 0),
            replicas_max=spec.get("maxReplicaCount", 100),
            up=_direction(behaviour.get("scaleUp", {}), UP),
            down=_direction(behaviour.get("scaleDown", {}), DOWN),
        )

    def faster(self, times: float) -> Self:
        """The same rule with a clock that runs `times` as fast."""
        return replace(
            self,
            up=_faster(self.up, times),
            down=_faster(self.down, times),
            sync_seconds=self.sync_seconds / times,
        )


def _direction(said: Mapping[str, Any], usual: Direction) -> Direction:
    if said.get("selectPolicy", "Max") != "Max":
        raise ValueError(f"only the most generous policy is known here, not {said!r}")
    policies = [Policy(p["type"], p["value"], p["periodSeconds"]) for p in said.get("policies", ())]
    return Direction(
        said.get("stabilizationWindowSeconds", usual.window_seconds), policies or usual.policies
    )


def _faster(direction: Direction, times: float) -> Direction:
    return Direction(
        direction.window_seconds / times,
        [replace(one, period_seconds=one.period_seconds / times) for one in direction.policies],
    )


@dataclass
class Autoscaler:
    """Decides again and again; times are seconds of any clock that only goes forward."""

    rule: Rule
    _wanted: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, backlog: int, replicas: int) -> int:
        """How many replicas there should be from now on, where there are `replicas`."""
        rule = self.rule
        self._wanted.append((now, self._wanted_for(backlog, replicas)))
        least = min(_since(self._wanted, now - rule.up.window_seconds))
        most = max(_since(self._wanted, now - rule.down.window_seconds))
        decided = min(max(replicas, least), most)
        if decided > replicas:
            limits = [self._limit(now, replicas, policy, 1) for policy in rule.up.policies]
            decided = min(decided, max(replicas, *limits))
        elif decided < replicas:
            limits = [self._limit(now, replicas, policy, -1) for policy in rule.down.policies]
            decided = max(decided, min(replicas, *limits))
        decided = min(max(decided, rule.replicas_min), rule.replicas_max)
        if decided != replicas:
            self._changes.append((now, decided - replicas))
        return decided

    def _wanted_for(self, backlog: int, replicas: int) -> int:
        target = self.rule.target
        if replicas and abs(backlog / (target * replicas) - 1) <= TOLERANCE:
            return replicas
        return ceil(backlog / target)

    def _limit(self, now: float, replicas: int, policy: Policy, sign: int) -> int:
        """How far this policy lets it go up (1) or down (-1) from where its period began."""
        began_with = replicas - sum(_since(self._changes, now - policy.period_seconds))
        if policy.type == "Pods":
            return began_with + sign * policy.value
        limit = began_with * (1 + sign * policy.value / 100)
        return ceil(limit) if sign > 0 else int(limit)


def _since(dated: Sequence[tuple[float, int]], then: float) -> list[int]:
    return [value for at, value in dated if at >= then]
