from __future__ import annotations

import pytest

import vecmarket as vm
from vecmarket.evaluation import evaluation_seeds
from vecmarket.scenarios.randomness import draws_anything


def test_seeds_are_fixed_distinct_and_a_longer_list_starts_the_same() -> None:
    seeds = evaluation_seeds(512)
    assert len(set(seeds)) == 512
    assert seeds[:16] == evaluation_seeds(16)
    assert seeds != evaluation_seeds(512, seed=1)
    assert all(0 <= s < 2**63 for s in seeds)


@pytest.mark.parametrize(
    ("changes", "random"),
    [
        ({}, False),
        ({"demand": vm.Demand((1000.0,) * 8736, noise=0.05)}, True),
        ({"demand": vm.Demand((1000.0,) * 8736, factor=vm.Uniform(0.9, 1.1))}, True),
        ({"rules": vm.MarketRules(tie_break="random")}, True),
        ({"generators": (vm.Generator(100.0, vm.Choice((10.0, 20.0))),)}, True),
        ({"reward": vm.Reward(bid_penalty=vm.Uniform(0.0, 0.1))}, True),
    ],
)
def test_randomness_is_found_wherever_it_stands(changes: dict[str, object], random: bool) -> None:
    assert draws_anything(vm.Scenario.ieee_rts().replace(**changes)) is random
