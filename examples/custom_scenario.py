"""A market of one's own: a fleet with names, a week of demand, a price cap, costs that vary by episode."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import vecmarket as vm


def build() -> vm.Scenario:
    hours = np.arange(7 * 24)
    demand = 900.0 + 300.0 * np.sin(2.0 * np.pi * (hours - 8.0) / 24.0)
    return vm.Scenario(
        name="three-firms",
        generators=(
            vm.Generator(capacity_mw=500.0, srmc=5.0, name="wind", availability=0.6),
            vm.Generator(capacity_mw=800.0, srmc=vm.Uniform(25.0, 35.0), name="gas"),
            vm.Generator(capacity_mw=400.0, srmc=60.0, name="oil"),
        ),
        demand=vm.Demand(series_mw=tuple(demand), noise=0.03),
        rules=vm.MarketRules(price_floor=0.0, price_cap=200.0, scarcity="cap"),
        bidding=vm.Bidding(max_bid_delta=150.0),
        observation="simple_v3",
        episode_start="random_day",
    )


def main(num_envs: int = 512) -> None:
    scenario = build()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "three-firms.toml"
        scenario.save(path)
        assert vm.Scenario.load(path) == scenario

    env = vm.MarketVectorEnv(num_envs, scenario, learner="gas", rivals={"oil": 20.0})
    env.reset(seed=0)
    prices = []
    for _ in range(scenario.horizon):
        _, _, _, _, infos = env.step(np.zeros((num_envs, 2), np.float32))
        prices.append(infos["price"].mean())
    print("mean price by hour, $/MWh:", np.round(prices, 1))


if __name__ == "__main__":
    main()
