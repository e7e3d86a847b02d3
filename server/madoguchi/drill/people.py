"""Who is on the channel of a drill, and what each person does when the link comes. Assumptions, stated as such."""

import math
import random
from collections.abc import Sequence
from typing import Literal

import msgspec

Risk = Literal["none", "watch", "high", "urgent"]


class Assumptions(msgspec.Struct, frozen=True):
    """people: how many cases run; reached: share whom the app reaches; opens: share of those who open the link;
    declines: share of those who would rather stay; median_minutes: until half of those who open it have; high_risk:
    share of cases at high risk."""

    people: int = 200
    reached: float = 0.97
    opens: float = 0.85
    declines: float = 0.05
    median_minutes: float = 8.0
    high_risk: float = 0.08


class Behaviour(msgspec.Struct, frozen=True):
    """One person. opens_after, decides_after: minutes after the link came, and after it was opened; None: never."""

    number: int
    risk: Risk
    reached: bool
    opens_after: float | None
    declines: bool
    decides_after: float


def behaviours(assumptions: Assumptions, seed: int) -> Sequence[Behaviour]:
    """The people of a drill: the same for the same seed.

    Times until a message is opened are spread log-normally around their median (sigma 1.2: one in six takes more than
    three times as long).
    """
    dice = random.Random(seed)
    found = []
    for number in range(assumptions.people):
        reached = dice.random() < assumptions.reached
        opens = reached and dice.random() < assumptions.opens
        found.append(
            Behaviour(
                number=number,
                risk="high" if dice.random() < assumptions.high_risk else "none",
                reached=reached,
                opens_after=dice.lognormvariate(math.log(assumptions.median_minutes), 1.2) if opens else None,
                declines=dice.random() < assumptions.declines,
                decides_after=dice.uniform(0.1, 1.0),
            )
        )
    return found
