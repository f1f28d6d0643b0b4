"""PPO on environments with known dynamics, in all three autoreset modes."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from training.toys import CLOCKS, SMALL, Bandit, Clock, KeptBandit, bandit_learner, clocks, same_weights
from vecmarket.training import PPO, PPOConfig
from vecmarket.training.rollout import EpisodeMeans, RewardScale

MODES = list(AutoresetMode)
PLAIN = PPOConfig(
    rollout_steps=23, minibatches=3, hidden=(8,), gamma=0.9, gae_lambda=0.8, normalise_rewards=False
)


def clock_learner(mode: AutoresetMode, **changes) -> PPO:
    return PPO(clocks(mode), dataclasses.replace(PLAIN, **changes), total_steps=23 * 5 * 4, seed=3)


def played(learner: PPO):
    """Let a learner play one rollout; return its advantages and returns."""
    learner.env.reset(seed=0)
    learner.rollout.observations[-1].copy_(torch.from_numpy(np.array([Clock(*c).seen(0) for c in CLOCKS])))
    learner.started = True
    learner.collect()
    return learner.advantages()


@pytest.mark.parametrize("mode", MODES)
def test_advantages_follow_from_the_dynamics(mode):
    """Every row's advantage, summed up from the episode that the clock would have played."""
    learner = clock_learner(mode)
    advantages, returns = played(learner)
    roll, gamma, lam = learner.rollout, 0.9, 0.8
    truncations = 0

    def value(clock: Clock, t: int) -> float:
        with torch.no_grad():
            return learner.model.value(torch.from_numpy(clock.seen(t))[None]).item()

    for n, (length, ending) in enumerate(CLOCKS):
        clock, t, episodes = Clock(length, ending), 0, []
        for step in range(23):
            if mode == AutoresetMode.NEXT_STEP and t == length:  # this row only resets
                assert not roll.valid[step, n]
                assert advantages[step, n] == 0.0
                t = 0
                continue
            assert roll.valid[step, n]
            if t % length == 0:
                t = 0
                episodes.append([])
            assert roll.observations[step, n].tolist() == clock.seen(t).tolist()
            episodes[-1].append((step, t))
            t += 1
            assert bool(roll.terminated[step, n]) == (t == length and ending == "terminated")
            assert bool(roll.truncated[step, n]) == (t == length and ending == "truncated")
        for episode in episodes:
            trace = 0.0
            for step, t in reversed(episode):
                last = t + 1 == length
                future = 0.0 if last and ending == "terminated" else value(clock, t + 1)
                truncations += last and ending == "truncated"
                error = roll.rewards[step, n].item() + gamma * future - value(clock, t)
                trace = error + gamma * lam * trace
                assert advantages[step, n].item() == pytest.approx(trace, abs=1e-5)
                assert returns[step, n].item() == pytest.approx(trace + value(clock, t), abs=1e-5)
    assert truncations > 10


def test_same_step_and_disabled_learn_the_same_weights():
    learners = [clock_learner(mode) for mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)]
    for learner in learners:
        while not learner.finished:
            learner.iterate()
    assert same_weights(learners[0].model, learners[1].model)


def test_next_step_has_the_same_episodes():
    figures = {mode: clock_learner(mode, rollout_steps=60).iterate() for mode in MODES}
    lengths = {mode: f["episode_length"] for mode, f in figures.items()}
    # the resets take rows of the rollout, so fewer episodes fit, but each is as long as it was
    assert figures[AutoresetMode.NEXT_STEP]["episodes"] == 60 // 4 + 60 // 5 + 60 // 6 + 60 // 3 + 60 // 2
    assert figures[AutoresetMode.SAME_STEP]["episodes"] == 20 + 15 + 12 + 30 + 60
    assert lengths[AutoresetMode.NEXT_STEP] == pytest.approx(
        (15 * 3 + 12 * 4 + 10 * 5 + 20 * 2 + 30 * 1) / 87
    )
    assert lengths[AutoresetMode.SAME_STEP] == lengths[AutoresetMode.DISABLED] == 300 / 137


def test_rows_that_only_reset_are_no_data():
    """Whatever stands in such a row, the weights after the update are the same."""
    learners = []
    for garbage in (False, True):
        learner = clock_learner(AutoresetMode.NEXT_STEP, normalise_rewards=True)
        played(learner)
        roll = learner.rollout
        dummies = ~roll.valid
        assert 20 < dummies.sum() < 60
        if garbage:
            roll.rewards[dummies] = 1e6
            roll.actions[dummies] = -300.0
            roll.noise[dummies] = 40.0
        learner.reward_scale = RewardScale(5, 0.9, torch.device("cpu"))
        learner.update(*learner.advantages())
        learners.append(learner)
    assert same_weights(learners[0].model, learners[1].model)


def test_resets_are_remembered_over_the_end_of_a_rollout():
    learner = clock_learner(AutoresetMode.NEXT_STEP, rollout_steps=3)
    learner.iterate()  # the clocks of three steps and of one have just ended
    learner.iterate()
    assert learner.rollout.valid[0].tolist() == [False, True, True, True, False]
    assert learner.rollout.observations[1, 0].tolist() == Clock(*CLOCKS[0]).seen(0).tolist()


def test_an_iteration_of_resets_alone_teaches_nothing():
    """Episodes of one step, rollouts of one step: every second rollout only resets."""
    env = SyncVectorEnv([lambda: Clock(1, "terminated")] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    learner = PPO(env, dataclasses.replace(PLAIN, rollout_steps=1, normalise_rewards=True), total_steps=8)
    first = learner.iterate()
    before = copy.deepcopy(learner.model)
    second = learner.iterate()
    assert not learner.rollout.valid.any()
    assert same_weights(learner.model, before)
    assert list(second) == list(first)
    assert second["epochs"] == 0.0
    assert np.isnan(second["policy_loss"])
    assert learner.iterate()["epochs"] > 0
    assert not same_weights(learner.model, before)


def test_variance_is_explained_where_there_is_some():
    learner = clock_learner(AutoresetMode.SAME_STEP, epochs=1)
    advantages, returns = played(learner)
    values = learner.rollout.values[:-1]
    explained = learner.update(advantages, returns)["explained_variance"]
    assert explained == pytest.approx(1.0 - ((returns - values).var() / returns.var()).item(), rel=1e-4)
    assert learner.update(advantages, values.clone())["explained_variance"] == 1.0
    assert np.isnan(learner.update(advantages, torch.ones_like(returns))["explained_variance"])


def test_learns_what_to_do_in_each_state():
    learner = bandit_learner(Bandit(), total_steps=64 * 8 * 150)
    first = learner.iterate()["mean_error"]
    while not learner.finished:
        figures = learner.iterate()
    x = torch.linspace(-0.95, 0.95, 39)[:, None]
    with torch.no_grad():
        error = (learner.model.mean_action(x) - 0.8 * x).abs()
    assert first > 0.5
    assert error.mean() < 0.05
    assert error.max() < 0.15
    assert figures["policy_std"] < 0.3
    assert figures["episode_return"] > -4 * 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"value_clip_range": 0.2},
        {"target_kl": 0.02},
        {"schedule": "constant"},
        {"entropy_coefficient": 0.001},
        {"normalise_advantages": False},
        {"activation": "silu"},
        {"minibatches": 7},
        {"gamma": 0.5},
        {"final_log_std": -3.0},
        {"observation_range": 3.0},
    ],
)
def test_every_setting_still_learns(changes):
    config = dataclasses.replace(SMALL, **changes)
    learner = PPO(Bandit(), config, total_steps=64 * 8 * 100, seed=1)
    while not learner.finished:
        learner.iterate()
    x = torch.linspace(-0.9, 0.9, 19)[:, None]
    with torch.no_grad():
        assert (learner.model.mean_action(x) - 0.8 * x).abs().mean() < 0.12


def test_target_kl_stops_the_epochs():
    config = dataclasses.replace(SMALL, target_kl=1e-6, epochs=10)
    assert PPO(Bandit(), config, total_steps=1).iterate()["epochs"] == 1
    assert PPO(Bandit(), dataclasses.replace(config, target_kl=None), total_steps=1).iterate()["epochs"] == 10


def test_the_learning_rate_falls_to_nothing_or_stays():
    def rates(schedule: str) -> list[float]:
        learner = PPO(Bandit(), dataclasses.replace(SMALL, schedule=schedule), total_steps=64 * 8 * 4)
        return [learner.iterate()["learning_rate"] for _ in range(4)]

    assert rates("linear") == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    assert rates("constant") == [0.01] * 4


def test_the_spread_falls_on_its_schedule_or_is_learned():
    config = dataclasses.replace(SMALL, initial_log_std=0.0, final_log_std=-3.0)
    learner = PPO(Bandit(), config, total_steps=64 * 8 * 4)
    spreads = [learner.iterate()["policy_std"] for _ in range(4)]
    assert spreads == pytest.approx(np.exp([0.0, -1.0, -2.0, -3.0]))
    assert (
        learner.rollout.actions.sub(learner.model.mean_action(learner.rollout.observations[:-1])).std() < 0.2
    )
    late = PPO(Bandit(), dataclasses.replace(config, log_std_power=2.0), total_steps=64 * 8 * 4)
    spreads = [late.iterate()["policy_std"] for _ in range(4)]
    assert spreads == pytest.approx(np.exp([0.0, -1.0 / 3.0, -4.0 / 3.0, -3.0]))
    learned = PPO(Bandit(), dataclasses.replace(config, final_log_std=None), total_steps=64 * 8 * 4)
    assert learned.iterate()["policy_std"] != 1.0


def test_a_run_does_not_go_on_past_its_end():
    learner = PPO(Bandit(), SMALL, total_steps=64 * 8 * 2)
    learner.iterate()
    learner.iterate()
    before = copy.deepcopy(learner.model)
    with pytest.raises(ValueError, match="iterate: 0 of the run's 2 iterations are left, 1 were asked for"):
        learner.iterate()
    assert learner.finished
    assert same_weights(before, learner.model)


def test_gradients_are_clipped():
    """With a tiny bound on the gradient's norm Adam's second moment stays below the bound's square."""
    learner = PPO(Bandit(), dataclasses.replace(SMALL, max_gradient_norm=1e-3), total_steps=64 * 8)
    learner.iterate()
    norms = sum(state["exp_avg_sq"].sum() for state in learner.optimiser.state.values())
    assert 0.0 < norms < 1.01e-6


def test_the_same_seed_gives_the_same_weights_and_touches_no_global_generator():
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    learners = [bandit_learner(seed=seed) for seed in (5, 5, 6)]
    for learner in learners:
        for _ in range(5):
            learner.iterate()
    assert same_weights(learners[0].model, learners[1].model)
    assert not same_weights(learners[0].model, learners[2].model)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == str(numpy_state)  # noqa: NPY002


def test_a_restored_learner_goes_on_bit_for_bit():
    whole, cut = bandit_learner(), bandit_learner()
    for _ in range(4):
        whole.iterate()
        cut.iterate()
    state = cut.state()
    cut.iterate()  # the state is a copy: what comes after leaves it alone
    fresh = bandit_learner()
    fresh.restore(state)
    assert fresh.steps == 4 * 64 * 8
    rows = []
    while not whole.finished:
        rows.append((whole.iterate(), fresh.iterate()))
    assert all(str(one) == str(other) for one, other in rows)
    assert len(rows) == 6
    assert same_weights(whole.model, fresh.model)


def test_an_environment_without_snapshot_starts_new_episodes():
    learner = bandit_learner(Bandit())
    first = learner.rollout.observations
    learner.iterate()
    seen = first[0].clone()
    fresh = bandit_learner(Bandit())
    fresh.restore(learner.state())
    assert same_weights(learner.model, fresh.model)
    assert not torch.equal(fresh.rollout.observations[-1], seen)
    fresh.iterate()
    assert fresh.iteration == 2


def test_a_state_that_does_not_fit():
    state = bandit_learner().state()
    other = PPO(KeptBandit(), dataclasses.replace(SMALL, hidden=(5,)), total_steps=100)
    with pytest.raises(ValueError, match="state: does not fit this learner"):
        other.restore(state)
    incomplete = copy.copy(state)
    del incomplete["shuffle"]
    with pytest.raises(ValueError, match="state: does not fit this learner: 'shuffle' is missing"):
        bandit_learner().restore(incomplete)
    with pytest.raises(ValueError, match="state: does not fit this learner: 'model' is missing"):
        bandit_learner().restore({})
    for steps in (float("nan"), 1e6, "7", None):
        with pytest.raises(TypeError, match="total_steps: must be a whole number, got"):
            PPO(KeptBandit(), SMALL, total_steps=steps)


def test_what_cannot_be_learned_on():
    env = Bandit()
    with pytest.raises(ValueError, match="total_steps: must be at least 1, got 0"):
        PPO(env, SMALL, total_steps=0)
    with pytest.raises(ValueError, match="seed: must be at least 0, got -1"):
        PPO(env, SMALL, total_steps=1, seed=-1)
    with pytest.raises(ValueError, match="device: 'gpu9' is not a device"):
        PPO(env, SMALL, total_steps=1, device="gpu9")
    env.metadata = {}
    with pytest.raises(ValueError, match=r'env\.metadata\["autoreset_mode"\]: must be one of .* got None'):
        PPO(env, SMALL, total_steps=1)


def test_reward_scale_is_the_spread_of_the_discounted_return():
    g = torch.Generator().manual_seed(0)
    rewards = torch.randn(40, 6, generator=g) * 3.0 + 1.0
    ended = torch.rand(40, 6, generator=g) < 0.2
    valid = torch.ones(40, 6, dtype=torch.bool)
    scale = RewardScale(6, 0.9, torch.device("cpu"))
    assert scale.std == 1.0
    for part in (slice(0, 13), slice(13, 40)):
        scale.update(rewards[part], ended[part], valid[part])
    returns, running = [], np.zeros(6)
    for t in range(40):
        running = rewards[t].numpy() + 0.9 * running
        returns.append(running)
        running = np.where(ended[t].numpy(), 0.0, running)
    assert scale.std == pytest.approx(np.std(returns), rel=1e-5)
    assert scale.mean == pytest.approx(np.mean(returns), rel=1e-5)


def test_infos_of_ending_rows_count_too():
    means = EpisodeMeans((3,), ("profit",))
    ended = np.array([False, True, True])
    infos = {
        "profit": np.array([1.0, 0.0, 0.0]),
        "_profit": ~ended,
        "final_info": {"profit": np.array([0.0, 4.0, 7.0]), "_profit": ended},
        "_final_info": ended,
    }
    means.add(np.array([1.0, 2.0, 3.0]), ended, np.ones(3, bool), infos)
    figures = means.figures()
    assert figures["mean_profit"] == 4.0
    assert figures["episode_return"] == 2.5
    assert figures["episodes"] == 2.0
