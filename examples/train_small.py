"""Teach the pivotal firm of a small market to bid, and judge it on days of its own."""

from pathlib import Path

import vecmarket as vm
from vecmarket.evaluation import evaluate, print_table
from vecmarket.plots import save_png
from vecmarket.training import TrainConfig, train


def main(total_steps: int = 1_000_000, num_envs: int = 512, out: str = "runs", episodes: int = 512) -> None:
    config = TrainConfig(
        scenario="default", learner="G4", total_steps=total_steps, num_envs=num_envs, out=Path(out)
    )
    result = train(config)
    judged = evaluate(vm.Scenario.default(), "G4", result.policy, episodes=episodes)
    print_table(judged)
    print("wrote", save_png(judged, result.run / "evaluation.png"))


if __name__ == "__main__":
    main()
