"""The best response against the supremum on paper and brute force over `vm.clear`, under every rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import vecmarket as vm
from core.scenes import still
from vecmarket.evaluation import Grid, ProfileEvaluation, evaluate_profile

BELOW = Grid().below
Offers = list[tuple[float, float]]  # (price, quantity)


@dataclass(frozen=True)
class Hour:
    """What unit 0 faces in one hour."""

    capacity: float
    srmc: float
    reach: float
    rivals: Offers
    demand: float
    rules: vm.MarketRules

    def evaluate(self, grid: Grid | None = None) -> ProfileEvaluation:
        """Let unit 0 deviate from truthful bidding; the rivals offer at cost, so exactly."""
        scenario = still(
            [self.capacity, *(quantity for _, quantity in self.rivals)],
            [self.srmc, *(price for price, _ in self.rivals)],
            [self.demand],
            rules=self.rules,
            max_bid_delta=self.reach,
        )
        return evaluate_profile(scenario, None, deviators=[0], grid=grid)

    @property
    def bounds(self) -> tuple[float, float]:
        floor, cap = self.rules.price_floor, self.rules.price_cap
        return (-np.inf if floor is None else floor, np.inf if cap is None else cap)

    def brute(self, prices: NDArray[np.float64], withheld: NDArray[np.float64]) -> float:
        """Return the most that unit 0 earns by any of the offers, each cleared on its own."""
        own, shares = (x.ravel() for x in np.meshgrid(np.clip(prices, *self.bounds), withheld))
        lifted = np.clip([price for price, _ in self.rivals], *self.bounds)
        offered = np.column_stack([own, np.tile(lifted, (len(own), 1))])
        quantities = np.tile([self.capacity, *(q for _, q in self.rivals)], (len(own), 1))
        quantities[:, 0] *= 1.0 - shares
        result = vm.clear(offered, quantities, np.full(len(own), self.demand), rules=self.rules)
        paid = own if self.rules.pricing == "pay_as_bid" else np.asarray(result.price)
        return float(((paid - self.srmc) * result.dispatch[:, 0]).max())

    def supremum(self) -> float:
        """Return the supremum of unit 0's profit, from the residual demand at every rival's price.

        Under the uniform price any rival's price can be had, under pay-as-bid those within reach; beyond all
        rivals, the unit's own dearest offer, or the cap where shortage pays it.
        """
        floor, cap = self.bounds
        top = float(np.clip(self.srmc + self.reach, floor, cap))
        uniform = self.rules.pricing == "uniform"
        lifted = [
            (float(np.clip(price, floor, cap)), quantity) for price, quantity in self.rivals if quantity > 0
        ]

        def left(price: float) -> float:
            return min(self.capacity, max(0.0, self.demand - sum(q for p, q in lifted if p < price)))

        earned = [0.0]
        for price, _ in lifted:
            # Nobody can undercut the floor.
            if price > floor and (uniform or price <= top):
                earned.append((price - self.srmc) * left(price))
        beyond = sum(q for p, q in lifted if p <= top)
        alone = min(self.capacity, max(0.0, self.demand - beyond))
        earned.append((top - self.srmc) * alone if self.is_dearest(top) or not uniform else 0.0)
        if uniform and self.rules.scarcity == "cap":
            earned.append(
                (cap - self.srmc) * min(self.capacity, max(0.0, self.demand - sum(q for _, q in lifted)))
            )
        return max(earned)

    def is_dearest(self, top: float) -> bool:
        return all(np.clip(price, *self.bounds) <= top for price, quantity in self.rivals if quantity > 0)

    @property
    def slack(self) -> float:
        """What the distance below a rival's offer and the sliver of a quantity may cost."""
        dearest = max([self.srmc + self.reach, *(price for price, _ in self.rivals)])
        rules = self.rules.price_cap or 0.0
        return self.capacity * 2 * BELOW + 2e-6 * (abs(self.demand) + self.capacity) * max(
            dearest, rules, 1.0
        )


@st.composite
def hours(draw: st.DrawFn) -> Hour:
    whole = st.integers(0, 40).map(float)
    rivals = draw(st.lists(st.tuples(whole, st.integers(0, 30).map(float)), min_size=1, max_size=5))
    capacity = draw(st.integers(1, 60).map(float))
    supply = sum(q for _, q in rivals)
    # At a unit's end, anywhere, and short of supply.
    demand = draw(
        st.sampled_from([supply, supply + capacity, supply + capacity / 2, supply + capacity + 5.0])
        | st.floats(0.5, supply + capacity + 1.0)
        | st.integers(0, int(supply + capacity)).map(float)
    )
    cap = draw(st.none() | st.sampled_from([15.0, 30.0, 60.0]))
    rules = vm.MarketRules(
        pricing=draw(st.sampled_from(["uniform", "pay_as_bid"])),
        kink=draw(st.sampled_from(["lower", "upper", "mid"])),
        scarcity="last_offer" if cap is None else draw(st.sampled_from(["last_offer", "cap"])),
        tie_break=draw(st.sampled_from(["pro_rata", "index"])),
        price_floor=draw(st.none() | st.sampled_from([0.0, 10.0])),
        price_cap=cap,
    )
    reach = draw(st.sampled_from([0.5, 3.0, 20.0, 200.0]))
    return Hour(capacity, draw(whole), reach, rivals, demand, rules)


@settings(max_examples=200)
@given(hours())
def test_no_offer_beats_the_best_response(hour: Hour) -> None:
    (found,) = hour.evaluate().deviations
    best = found.best.item()
    # Every price by 0.25, those beside and at the rivals', the ends; shares by 0.05 and the residuals.
    near = np.array([p + d for p, _ in hour.rivals for d in (-1e-6, 0.0, 1e-6)])
    prices = np.concatenate([np.arange(-1.0, 62.0, 0.25), near])
    low, high = hour.srmc - hour.reach, hour.srmc + hour.reach
    prices = np.append(prices[(prices >= low) & (prices <= high)], [low, hour.srmc, high])
    wanted = hour.demand - np.cumsum(np.append(0.0, [q for _, q in sorted(hour.rivals)]))
    exact = 1.0 - np.concatenate([wanted, wanted - 1e-7]) / hour.capacity
    withheld = np.unique(np.clip(np.concatenate([np.linspace(0.0, 1.0, 21), exact]), 0.0, 1.0))
    assert hour.brute(prices, withheld) <= best + hour.slack


@settings(max_examples=200)
@given(hours())
def test_the_best_response_reaches_the_supremum(hour: Hour) -> None:
    found = hour.evaluate()
    (deviation,) = found.deviations
    assert deviation.best.item() >= hour.supremum() - hour.slack
    assert deviation.best.item() >= deviation.own.item() == deviation.truthful.item()
    assert found.verify() == {"G0": 0.0}


@pytest.mark.parametrize("pricing", ["uniform", "pay_as_bid"])
def test_a_finer_grid_finds_nothing_better_against_policies(pricing: str) -> None:
    rng = np.random.default_rng(3)

    def any_policy(observations: NDArray[np.float32]) -> NDArray[np.float32]:
        withheld = rng.uniform(0.0, 0.5, len(observations))
        return np.stack([withheld, rng.normal(0.3, 0.4, len(observations))], axis=1).astype(np.float32)

    scenario = vm.Scenario.default().replace(
        rules=vm.MarketRules(pricing=pricing, price_floor=0.0, price_cap=80.0)
    )
    fixed: dict[str, Any] = {"episodes": 2, "deviators": ["G0", "G4"]}
    # Policies of moods, each asked in the same order.
    found = evaluate_profile(scenario, [any_policy] * 5, **fixed)
    rng = np.random.default_rng(3)
    fine = Grid(spacing=0.5, withheld=tuple(np.linspace(0.0, 0.9, 10).tolist()))
    finer = evaluate_profile(scenario, [any_policy] * 5, grid=fine, **fixed)
    np.testing.assert_array_equal(found.played.price, finer.played.price)
    for one, other in zip(found.deviations, finer.deviations, strict=True):
        assert (other.best <= one.best + 30.0 * 2 * BELOW).all()
        assert one.gain > 0.0
    assert found.verify()["G0"] > 0.0  # moods are no function of what is seen


def test_a_cap_below_cost_is_answered_by_offering_nothing() -> None:
    rules = vm.MarketRules(price_cap=20.0)
    hour = Hour(50.0, 30.0, 50.0, [(5.0, 20.0)], 60.0, rules)
    (found,) = hour.evaluate().deviations
    assert found.own.item() == -400.0  # 40 MW at the cap
    assert found.best.item() == 0.0


def test_below_the_floor_nobody_can_undercut() -> None:
    # All are lifted to the floor of 30 and share 60 MW in proportion; leaving 80 to set the price pays more.
    rules = vm.MarketRules(price_floor=30.0)
    (found,) = Hour(60.0, 10.0, 50.0, [(5.0, 60.0)], 60.0, rules).evaluate().deviations
    assert found.best.item() == found.own.item() == 20.0 * 30.0
    (found,) = Hour(60.0, 10.0, 80.0, [(5.0, 40.0), (80.0, 50.0)], 60.0, rules).evaluate().deviations
    assert found.best.item() == pytest.approx(70.0 * 20.0, abs=0.1)
    assert found.own.item() == pytest.approx(20.0 * 36.0)


def test_a_far_reach_still_undercuts() -> None:
    # float32 resolves an offer to 1e-7 of the reach, so that 1e-3 below would be above now and then.
    # Under pay-as-bid nothing but undercutting pays.
    rng = np.random.default_rng(0)
    for price in rng.uniform(5_000.0, 60_000.0, 40):
        rules = vm.MarketRules(pricing="pay_as_bid")
        hour = Hour(50.0, 0.0, 100_000.0, [(float(price), 100.0)], 80.0, rules)
        best = hour.evaluate().deviations[0].best.item()
        assert hour.supremum() * (1 - 1e-5) <= best < hour.supremum()


def test_a_drawn_reach_and_cap_are_found() -> None:
    rules = vm.MarketRules(price_cap=vm.Choice((25.0, 45.0, 300.0)))
    scenario = still([100.0, 50.0], [10.0, 20.0], [110.0], rules=rules).replace(
        bidding=vm.Bidding(max_bid_delta=vm.Uniform(20.0, 60.0))
    )
    found = evaluate_profile(scenario, None, episodes=64, deviators="G1")
    (deviation,) = found.deviations
    # Pivotal for 10 MW: the best is the dearest offer that can be said, the reach or the cap.
    price = found.deviations[0].price[:, 0]
    assert {25.0, 45.0} <= set(np.round(price, 9))
    assert ((price > 40.0) & (price != 45.0)).any()
    assert price.max() < 80.0
    np.testing.assert_allclose(deviation.best[:, 0], 10.0 * (price - 20.0))
    fine = evaluate_profile(scenario, None, episodes=64, deviators="G1", grid=Grid(spacing=0.5))
    np.testing.assert_allclose(fine.deviations[0].best, deviation.best, rtol=1e-9)
