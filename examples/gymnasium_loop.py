"""The market as a Gymnasium environment: one at a time, and in batches."""

import gymnasium as gym
import numpy as np

import vecmarket as vm


def main(num_envs: int = 256, steps: int = 48) -> None:
    env = gym.make("vecmarket/Market-v0", scenario=vm.Scenario.default(), learner="G4")
    observation, _ = env.reset(seed=0)
    done, total = False, 0.0
    while not done:
        # Offer everything, far above cost whenever demand is close to the fleet's limit.
        action = np.array([0.0, 10.0 if observation[0] > 0.9 else 0.0], np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        done = terminated or truncated
    print(f"one day of G4: return {total:.4f}")

    envs = gym.make_vec("vecmarket/Market-v0", num_envs=num_envs, learner="G4")
    observations, _ = envs.reset(seed=0)
    profit = np.zeros(num_envs)
    for _ in range(steps):
        actions = np.zeros((num_envs, 2), np.float32)
        actions[:, 1] = np.where(observations[:, 0] > 0.9, 10.0, 0.0)
        observations, _, _, _, infos = envs.step(actions)
        profit += infos.get("profit", 0.0)  # a step that only starts new days has no infos
    print(f"{num_envs} markets, {steps} steps: {profit.mean():.0f} $ each")


if __name__ == "__main__":
    main()
