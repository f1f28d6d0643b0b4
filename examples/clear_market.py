"""Clear one market, then ten thousand at once."""

import numpy as np

import vecmarket as vm


def main(markets: int = 10_000) -> None:
    one = vm.clear(prices=[10.0, 20.0, 30.0, 40.0], quantities=[50.0] * 4, demand=120.0)
    print(f"price {one.price} $/MWh, dispatch {one.dispatch} MW, marginal unit {one.marginal}")

    rng = np.random.default_rng(0)
    prices = rng.uniform(10.0, 50.0, size=(markets, 20))
    quantities = rng.uniform(10.0, 100.0, size=(markets, 20))
    demand = 0.7 * quantities.sum(axis=1)
    many = vm.clear(prices, quantities, demand, rules=vm.MarketRules(kink="mid"), threads=0)
    print(f"{markets} markets: mean price {np.mean(many.price):.2f} $/MWh")


if __name__ == "__main__":
    main()
