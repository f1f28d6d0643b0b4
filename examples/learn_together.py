"""All agents of a market learn at once, in the core; then: how far is that from an equilibrium?"""

import vecmarket as vm
from vecmarket.evaluation import evaluate_profile, print_profile
from vecmarket.training import NativePPO, market_ppo


def main(iterations: int = 100, num_envs: int = 256) -> None:
    scenario = vm.Scenario.default()

    # Independent learning: a policy for each agent, all in the same markets. Rows are agents of markets.
    env = vm.MarketVectorEnv(num_envs, scenario, learner="all", autoreset_mode="same_step")
    settings = market_ppo()
    rows = num_envs * len(scenario.agents)
    learners = NativePPO(
        env, settings, total_steps=iterations * settings.rollout_steps * rows, seed=0, per_agent=True
    )
    while not learners.finished:
        figures = learners.iterate()
    print(f"independent learning: price {figures['mean_price']:.2f} $/MWh in the last rollout")

    # Every agent's exact best response to the others, and the sum of what they would gain.
    profile = [vm.MlpPolicy.from_torch(model) for model in learners.models]
    print_profile(evaluate_profile(scenario, profile))

    # G4 learns anew, against what G3 has just learned; the engine plays it, the others are truthful.
    env = vm.MarketVectorEnv(
        num_envs, scenario, learner="G4", rivals={"G3": profile[3]}, autoreset_mode="same_step"
    )
    learner = NativePPO(env, settings, total_steps=iterations * settings.rollout_steps * num_envs, seed=1)
    while not learner.finished:
        learner.iterate()
    answer = {"G3": profile[3], "G4": vm.MlpPolicy.from_torch(learner.model)}
    found = evaluate_profile(scenario, answer, deviators=("G4",)).deviations[0]
    # Profit has a local optimum below each rival's offer: a gradient climbs one, a game's --starts several.
    print(
        f"G4 against G3's policy: {found.own.mean():.1f} $/h, truthfully {found.truthful.mean():.1f}, "
        f"by its exact best response {found.best.mean():.1f}"
    )


if __name__ == "__main__":
    main()
