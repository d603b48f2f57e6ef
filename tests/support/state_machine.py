"""How a state machine of hypothesis is played: the same few examples on each push, many new ones at night."""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def play(
    machine: Callable[[], RuleBasedStateMachine], by_day: tuple[int, int], at_night: tuple[int, int]
) -> None:
    """Run (examples, steps of each). A counter-example is made small at night; by day that would take minutes."""
    is_night = "NIGHTLY" in os.environ
    examples, steps = at_night if is_night else by_day
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=not is_night,
        phases=(Phase.generate, Phase.shrink) if is_night else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)
