"""Step a batch of markets in which every agent bids, and look at what came out."""

import numpy as np

import vecmarket as vm


def main(num_envs: int = 4096) -> None:
    engine = vm.Engine(vm.Scenario.default(), num_envs, seed=0)
    engine.reset()
    rng = np.random.default_rng(0)
    prices, profits = [], []
    for _ in range(engine.horizon):
        # (N, A, 2): the withheld share of capacity, and the price parameter; zeros would be truthful bidding.
        actions = rng.uniform((0.0, -1.0), (0.3, 1.0), size=(num_envs, engine.num_agents, 2))
        engine.step(actions.astype(np.float32))
        prices.append(engine.prices.mean())
        profits.append(engine.profits.mean(axis=0))
    print("hour with the dearest power:", int(np.argmax(prices)), f"({max(prices):.1f} $/MWh)")
    for name, profit in zip(engine.agents, np.sum(profits, axis=0), strict=True):
        print(f"{name}: {profit:.0f} $ per day")


if __name__ == "__main__":
    main()
