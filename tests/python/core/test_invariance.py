"""Results are the same bit for bit, however the work is done: threads, batches, advance, snapshots, repeats.

Everything is compared as bytes. The market is one in which everything varies, ties are broken at random, and
episodes are short, so that every comparison crosses several of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import vecmarket as vm
from core.scenes import Actions, lively, noisy
from vecmarket import _core

BUFFERS = (
    "observations",
    "final_observations",
    "rewards",
    "terminated",
    "truncated",
    "prices",
    "demand",
    "unserved",
    "dispatch",
    "profits",
)
AGENTS = 4
# Rows enough for four threads, and no multiple of the size of a shard.
MANY = 5001


def shown(engine: vm.Engine, rows: slice = slice(None)) -> dict[str, bytes]:
    """Return every buffer, and everything else that an engine tells, of some environments.

    A last observation counts where an episode has just ended; elsewhere the buffer holds what it held.
    """
    arrays = {name: getattr(engine, name) for name in BUFFERS}
    ended = engine.terminated | engine.truncated
    arrays["final_observations"] = np.where(ended[:, None, None], engine.final_observations, 0)
    arrays["offer_prices"], arrays["offer_quantities"] = engine.offers()
    arrays["capacities"], arrays["srmc"] = engine.fleet()
    arrays["t"], arrays["hour"], arrays["episode"] = engine.clock()
    return {name: np.ascontiguousarray(array[rows]).tobytes() for name, array in arrays.items()}


def lasting(engine: vm.Engine) -> dict[str, bytes]:
    """Return what `shown` does, without the last observations, which are no part of the state."""
    return {name: held for name, held in shown(engine).items() if name != "final_observations"}


def play(engine: vm.Engine, actions: Actions) -> list[dict[str, bytes]]:
    """Step through `actions` (k, N, A, 2), resetting what has finished; return what every step showed."""
    history = [shown(engine)]
    for step in actions:
        engine.step(step, autoreset="same_step")
        history.append(shown(engine))
    return history


def fresh(envs: int, *, seed: int = 0, threads: int = 1) -> vm.Engine:
    engine = vm.Engine(lively(), envs, seed=seed, threads=threads)
    engine.keep_offers()
    engine.reset()
    return engine


@pytest.mark.parametrize("threads", [0, 2, 3, 4])
def test_any_number_of_threads(threads: int) -> None:
    actions = noisy(MANY, AGENTS, 15)
    assert play(fresh(MANY, threads=threads), actions) == play(fresh(MANY), actions)


def test_an_environment_alone_and_in_a_batch() -> None:
    envs = 130
    actions = noisy(envs, AGENTS, 15)
    batch = fresh(envs, seed=77)
    alone = {n: fresh(1, seed=77 + n) for n in (0, 1, 63, 64, 129)}
    for step in actions:
        batch.step(step, autoreset="same_step")
        for n, engine in alone.items():
            engine.step(step[n : n + 1].copy(), autoreset="same_step")
            assert shown(engine) == shown(batch, slice(n, n + 1))


@pytest.mark.parametrize("first", [1, 64, 100])
def test_any_split_of_a_batch(first: int) -> None:
    envs = 150
    actions = noisy(envs, AGENTS, 15)
    whole = fresh(envs, seed=5)
    left, right = fresh(first, seed=5), fresh(envs - first, seed=5 + first, threads=2)
    for step in actions:
        whole.step(step, autoreset="same_step")
        left.step(step[:first].copy(), autoreset="same_step")
        right.step(step[first:].copy(), autoreset="same_step")
        assert shown(whole, slice(0, first)) == shown(left)
        assert shown(whole, slice(first, envs)) == shown(right)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("autoreset", ["same_step", "next_step"])
def test_advance_and_as_many_steps(autoreset: str, threads: int) -> None:
    """Whole episodes and parts of them, over several resets, with the true last observations kept."""
    envs = 700
    stepped, advanced = fresh(envs, threads=threads), fresh(envs, threads=threads)
    for seed, steps in enumerate((1, 4, 17, 6, 2)):
        actions = noisy(envs, AGENTS, steps, seed)
        result = advanced.advance(actions, autoreset=autoreset)
        for k in range(steps):
            stepped.step(actions[k], autoreset=autoreset)
            ended = stepped.terminated | stepped.truncated
            for name, array in result.items():
                expected = getattr(stepped, name)
                if name == "final_observations":
                    array, expected = array[:, ended], expected[ended]
                assert array[k].tobytes() == np.ascontiguousarray(expected).tobytes(), (name, k)
        assert {"observations", "rewards", "terminated", "truncated", "final_observations"} <= set(result)
        assert stepped.snapshot() == advanced.snapshot()
        assert stepped.final_observations.tobytes() == advanced.final_observations.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_advance_and_as_many_steps_without_a_reset(threads: int) -> None:
    """An episode in parts, and the step behind its end, which both refuse."""
    envs = 700
    stepped, advanced = fresh(envs, threads=threads), fresh(envs, threads=threads)
    for seed, steps in enumerate((1, 3, 2)):
        actions = noisy(envs, AGENTS, steps, seed)
        result = advanced.advance(actions, autoreset=None)
        for k in range(steps):
            stepped.step(actions[k])
            for name in set(result) - {"final_observations"}:
                assert result[name][k].tobytes() == getattr(stepped, name).tobytes(), (name, k)
        assert shown(stepped) == shown(advanced)
    assert stepped.terminated.all()
    with pytest.raises(ValueError, match="has ended"):
        advanced.advance(actions, autoreset=None)
    assert shown(stepped) == shown(advanced)


def test_a_last_observation_is_what_the_episode_would_have_seen() -> None:
    """The same steps without a reset end with the observation that autoreset keeps apart."""
    actions = noisy(20, AGENTS, 6)
    resetting, plain = fresh(20), fresh(20)
    for step in actions:
        resetting.step(step, autoreset="same_step")
        plain.step(step)
    assert plain.terminated.all()
    assert resetting.terminated.all()
    assert resetting.final_observations.tobytes() == plain.observations.tobytes()
    plain.reset()
    assert resetting.observations.tobytes() == plain.observations.tobytes()


@pytest.mark.parametrize("steps", [0, 3, 6])
def test_snapshot_and_restore(steps: int) -> None:
    """At the start, in mid-episode and at the end of an episode; also into an engine with other threads."""
    envs = 150
    engine = fresh(envs)
    play(engine, noisy(envs, AGENTS, 12))
    for step in noisy(envs, AGENTS, steps, 1):
        engine.step(step)
    assert engine.clock()[0].tolist() == [steps] * envs
    state, shows = engine.snapshot(), lasting(engine)
    later = noisy(envs, AGENTS, 9, 2)

    def go_on(engine: vm.Engine) -> list[dict[str, bytes]]:
        if engine.terminated.any():
            engine.reset()
        return play(engine, later)

    expected = go_on(engine)
    engine.restore(state)
    other = vm.Engine(lively(), envs, seed=123, threads=2)
    other.restore(state)
    for restored in (engine, other):
        assert lasting(restored) == shows
        assert restored.snapshot() == state
        assert go_on(restored) == expected


def test_restore_in_another_process(tmp_path: Path) -> None:
    engine = fresh(70, seed=8)
    play(engine, noisy(70, AGENTS, 8))
    (tmp_path / "state").write_bytes(engine.snapshot())
    actions = noisy(70, AGENTS, 10, 1)
    np.save(tmp_path / "actions.npy", actions)
    program = """
        import sys
        from pathlib import Path

        import numpy as np
        import vecmarket as vm
        from core.scenes import lively

        folder = Path(sys.argv[1])
        engine = vm.Engine(lively(), 70, threads=2)
        engine.restore((folder / "state").read_bytes())
        engine.advance(np.load(folder / "actions.npy"))
        (folder / "later").write_bytes(engine.snapshot())
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        check=True,
        cwd=Path(__file__).parents[1],
        env=_environment(),
        timeout=120,
    )
    engine.advance(actions)
    assert (tmp_path / "later").read_bytes() == engine.snapshot()


def _environment() -> dict[str, str]:
    """Return this process's environment with the package and the tests on the path."""
    package = Path(vm.__file__).parents[1]
    tests = Path(__file__).parents[1]
    paths = [str(package), str(tests), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def test_a_snapshot_of_a_large_batch_does_not_depend_on_threads() -> None:
    one, many = fresh(MANY), fresh(MANY, threads=4)
    actions = noisy(MANY, AGENTS, 8)
    one.advance(actions)
    many.advance(actions)
    assert one.snapshot() == many.snapshot()


# Seeds and episodes


def test_the_same_seed_again() -> None:
    actions = noisy(40, AGENTS, 20)
    assert play(fresh(40, seed=11), actions) == play(fresh(40, seed=11), actions)


def test_seeds_and_episodes_differ() -> None:
    engine = fresh(200, seed=11)
    first = engine.observations.copy()
    assert len(np.unique(engine.demand)) == 200
    engine.reset()
    assert (engine.demand != 0).all()
    assert (first != engine.observations).any(axis=(1, 2)).all()


def test_environment_i_has_seed_s_plus_i_in_every_form_of_reset() -> None:
    made = fresh(50, seed=900)
    as_int, as_list, as_array = fresh(50), fresh(50), fresh(50)
    as_int.reset(seed=900)
    as_list.reset(seed=list(range(900, 950)))
    as_array.reset(seed=[*np.arange(900, 950)])
    assert shown(made) == shown(as_int) == shown(as_list) == shown(as_array)


def test_a_seed_starts_again_at_episode_zero() -> None:
    engine = fresh(30, seed=4)
    first = shown(engine)
    engine.step(noisy(30, AGENTS)[0])
    engine.reset()
    engine.reset()
    assert engine.clock()[2].tolist() == [2] * 30
    engine.reset(seed=4)
    assert shown(engine) == first


def test_a_later_reset_moves_to_the_next_episode_also_in_mid_episode() -> None:
    """How far an episode was played does not matter for the next one."""
    actions = noisy(30, AGENTS, 6)
    cut, played = fresh(30, seed=4), fresh(30, seed=4)
    cut.step(actions[0])
    for step in actions:
        played.step(step)
    cut.reset()
    played.reset()
    assert cut.clock()[2].tolist() == [1] * 30
    assert cut.observations.tobytes() == played.observations.tobytes()
    assert cut.snapshot() == played.snapshot()


def test_a_mask_resets_some_environments_and_leaves_the_others() -> None:
    envs = 150
    engine = fresh(envs)
    play(engine, noisy(envs, AGENTS, 3))
    before = {name: getattr(engine, name).copy() for name in BUFFERS}
    mask = np.arange(envs) % 3 == 1
    engine.reset(mask=mask)
    for name, array in before.items():
        assert getattr(engine, name)[~mask].tobytes() == array[~mask].tobytes(), name
    t, _, episode = engine.clock()
    assert (t[mask] == 0).all()
    assert (t[~mask] == 3).all()
    assert (episode == mask).all()

    reference = fresh(envs)
    reference.reset()
    assert engine.observations[mask].tobytes() == reference.observations[mask].tobytes()


def test_some_seeds_and_none_for_the_others() -> None:
    engine, all_of_them, next_ones = fresh(4, seed=1), fresh(4, seed=1), fresh(4, seed=1)
    engine.reset(seed=[50, None, 52, None])
    all_of_them.reset(seed=50)
    next_ones.reset()
    assert engine.observations[[0, 2]].tobytes() == all_of_them.observations[[0, 2]].tobytes()
    assert engine.observations[[1, 3]].tobytes() == next_ones.observations[[1, 3]].tobytes()


def test_seeds_wrap_around_at_the_top() -> None:
    top = fresh(3, seed=2**64 - 1)
    zero = fresh(2, seed=0)
    assert shown(top, slice(1, 3)) == shown(zero)


def test_a_trace_leaves_the_engine_as_it_is() -> None:
    engine = fresh(8, seed=3)
    play(engine, noisy(8, AGENTS, 4))
    state, shows = engine.snapshot(), shown(engine)
    trace = engine.trace(lambda seen: np.full((AGENTS, 2), 0.1, dtype=np.float32))
    assert len(trace.price) == engine.horizon
    assert (engine.snapshot(), shown(engine)) == (state, shows)


def test_rivals_in_their_seats_do_not_change_the_market() -> None:
    """A truthful rival in the engine and an agent that acts truthfully make the same market."""
    actions = noisy(90, AGENTS, 12)
    actions[:, :, [0, 3]] = 0.0
    everyone = fresh(90)
    seated = _core.Engine(lively(), 90, threads=1, seats=["truthful", "acts", "acts", "truthful"])
    seated.reset()
    for step in actions:
        everyone.step(step, autoreset="same_step")
        seated.step(step[:, [1, 2]].copy(), autoreset="same_step")
        for name in ("prices", "demand", "dispatch", "profits", "terminated", "unserved"):
            assert getattr(seated, name).tobytes() == getattr(everyone, name).tobytes()
        assert seated.rewards.tobytes() == np.ascontiguousarray(everyone.rewards[:, [1, 2]]).tobytes()
        assert (
            seated.observations.tobytes() == np.ascontiguousarray(everyone.observations[:, [1, 2]]).tobytes()
        )
