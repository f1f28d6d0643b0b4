"""Random bad calls to the environments and damaged files of scenarios: refused, and nothing is changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from border.test_fuzz import SCENARIO, Junk
from vecmarket.envs.state import pack

CALLS = 4_000
FILES = 2_000
FIXTURES = Path(__file__).parents[1] / "scenarios" / "fixtures"
OPTIONS = ("learner", "rivals", "autoreset_mode", "threads", "max_episode_steps", "render_mode")


def held(env: Any) -> tuple[Any, ...]:
    game = env._game
    arrays = (game.observations, game.rewards, game.terminated, game.truncated, *game.facts.values())
    return (
        game.engine.snapshot(),
        *(array.tobytes() for array in arrays),
        repr(env.np_random.bit_generator.state),
    )


def single() -> vm.MarketEnv:
    env = vm.MarketEnv(SCENARIO)
    env.reset(seed=1)
    env.step(np.zeros(2))
    return env


def vector() -> vm.MarketVectorEnv:
    env = vm.MarketVectorEnv(2, SCENARIO, threads=1)
    env.reset(seed=1)
    env.step(np.zeros((2, 2)))
    return env


def construct(env: Any, junk: Junk) -> None:
    given = {name: junk.any() for name in OPTIONS if junk.random.random() < 0.4}
    if isinstance(env, vm.MarketEnv):
        given = {name: value for name, value in given.items() if name in ("learner", "rivals", "render_mode")}
        vm.MarketEnv(junk.any() if junk.random.random() < 0.3 else SCENARIO, **given)
    else:
        envs = junk.any() if junk.random.random() < 0.3 else 2
        # A number of markets or threads that is taken may be a large one, but not here.
        if "threads" in given and isinstance(given["threads"], int | np.integer):
            given["threads"] = -1
        vm.MarketVectorEnv(envs, junk.any() if junk.random.random() < 0.3 else SCENARIO, **given)


def reset(env: Any, junk: Junk) -> None:
    options = {name: junk.any() for name in ("start", "reset_mask", "strat") if junk.random.random() < 0.4}
    given: dict[str, Any] = {"options": junk.any() if junk.random.random() < 0.3 else options}
    if junk.random.random() < 0.5:
        given["seed"] = junk.any()
    env.reset(**given)


def step(env: Any, junk: Junk) -> None:
    env.step(junk.any() if junk.random.random() < 0.5 else junk.array())


def set_rivals(env: Any, junk: Junk) -> None:
    env.rivals = (
        {junk.random.choice(("coal", "gas", 1, 7)): junk.any()} if junk.numbers.random() < 0.3 else junk.any()
    )


def restore(env: Any, junk: Junk) -> None:
    if isinstance(env, vm.MarketEnv):
        reset(env, junk)
    elif junk.random.random() < 0.5:
        # A damaged engine under a checksum that fits.
        env.restore(pack(junk.mutated(env.engine.snapshot()), env.np_random, env.np_random_seed))
    else:
        env.restore(junk.mutated(env.snapshot()) if junk.random.random() < 0.8 else junk.any())


WAYS = (construct, reset, step, set_rivals, restore)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [single, vector], ids=lambda make: make.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_random_bad_calls_to_an_environment(
    way: Callable[[Any, Junk], None], make: Callable[[], Any]
) -> None:
    junk = Junk(WAYS.index(way))
    env, refused = make(), 0
    before = held(env)
    for _ in range(CALLS):
        try:
            way(env, junk)
        except (ValueError, TypeError) as error:
            refused += 1
            refusal = str(error)
        else:
            env = make()
            before = held(env)
            continue
        assert refusal, "a refusal says why"
        assert held(env) == before, f"changed by a call refused with {refusal}"
    assert refused > CALLS // 3


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a file's content with a few bytes, words or lines changed."""
    body = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(body))
        kind = chance.randrange(4)
        if kind == 0:
            body[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del body[place : place + chance.randrange(1, 20)]
        elif kind == 2:
            body[place:place] = body[chance.randrange(len(body)) :][: chance.randrange(1, 30)]
        else:
            odd = (
                b"1_0",
                b"nan",
                b"-",
                b"1e999",
                b"9" * 400,
                b"9" * 5000,
                b"[" * 3000,
                b"{}",
                b'"',
                b"\0",
                b",",
            )
            body[place:place] = chance.choice(odd)
        if not body:
            return b""
    return bytes(body)


def test_damaged_toml_files(tmp_path: Path) -> None:
    path, chance, refused = tmp_path / "scenario.toml", random.Random(0), 0
    SCENARIO.save(path)
    content = path.read_bytes()
    for _ in range(FILES):
        path.write_bytes(damaged(content, chance))
        try:
            vm.Scenario.load(path)
        except (ValueError, TypeError) as error:
            refused += "scenario.toml" in str(error)
    assert refused > FILES // 3


def test_damaged_tables(tmp_path: Path) -> None:
    names = ("fleet.csv", "load_hourly.csv", "renewables_hourly.csv")
    contents = [(FIXTURES / name).read_bytes()[:1500].rpartition(b"\n")[0] + b"\n" for name in names]
    paths = [tmp_path / name for name in names]
    chance, refused = random.Random(0), 0
    for _ in range(FILES):
        worse = chance.randrange(3)
        for i, (path, content) in enumerate(zip(paths, contents, strict=True)):
            path.write_bytes(damaged(content, chance) if i == worse else content)
        try:
            vm.Scenario.from_csv(paths[0], paths[1], renewables=paths[2], horizon=2, episode_start="first")
        except (ValueError, TypeError) as error:
            refused += bool(str(error))
    assert refused > FILES // 4
