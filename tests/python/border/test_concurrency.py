"""Threads, forks and memory: the lock is released, one stepper at a time, no hang after a fork, no copies."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import vecmarket as vm
from policies.nets import draw

LARGE = 20_000
ATTEMPTS = 300


def large(threads: int = 1) -> vm.Engine:
    engine = vm.Engine(vm.Scenario.default(), LARGE, threads=threads)
    engine.reset()
    return engine


def still(steps: int) -> NDArray[np.float32]:
    return np.zeros((steps, LARGE, 5, 2), dtype=np.float32)


@contextmanager
def never_interrupted() -> Iterator[None]:
    """Let a thread keep the interpreter lock until it gives it away itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", ["step", "advance", "rollout"])
def test_another_thread_runs_during_a_step(call: str, threads: int) -> None:
    """No thread is interrupted, so the other one can only count while the engine has let go of the lock."""
    engine = large(threads)
    given = {
        "step": (still(1)[0],),
        "advance": (still(4),),
        "rollout": (draw(engine.num_features), 4),
    }[call]
    count = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(1e-5)

    ticker = threading.Thread(target=tick)
    counted = 0
    with never_interrupted():
        ticker.start()
        try:
            for _ in range(ATTEMPTS):
                before = count
                getattr(engine, call)(*given, autoreset="same_step")
                counted += count - before
                if counted > 0:
                    break
        finally:
            stop.set()
            ticker.join()
    assert counted > 0


def test_two_threads_that_step_one_engine() -> None:
    """One of them is told so, and the engine has played exactly the calls that came through."""
    engine = large()
    actions = still(4)
    played = []
    refusals: list[RuntimeError] = []
    met = threading.Event()

    def play() -> None:
        for _ in range(ATTEMPTS):
            try:
                engine.advance(actions)
            except RuntimeError as refusal:
                refusals.append(refusal)
                met.set()
            else:
                played.append(len(actions))
            if met.is_set():
                return

    players = [threading.Thread(target=play) for _ in range(2)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    assert refusals
    assert all("already stepping" in str(refusal) for refusal in refusals)

    reference = large()
    for _ in range(sum(played)):
        reference.step(actions[0], autoreset="same_step")
    assert engine.snapshot() == reference.snapshot()


def refused(call: Callable[[], object]) -> bool:
    """Return whether a call was refused because another thread is stepping."""
    try:
        call()
    except RuntimeError as refusal:
        return "already stepping" in str(refusal)
    return False


def test_every_call_on_a_stepping_engine_is_refused() -> None:
    engine = large()
    actions, state = still(8), engine.snapshot()
    calls: dict[str, Callable[[], object]] = {
        "step": lambda: engine.step(actions[0], autoreset="same_step"),
        "advance": lambda: engine.advance(actions[:1]),
        "reset": lambda: engine.reset(seed=0),
        "snapshot": engine.snapshot,
        "restore": lambda: engine.restore(state),
        "set_seats": lambda: engine.set_seats(None),
        "offers": engine.offers,
        "clock": engine.clock,
    }
    missing = set(calls)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(RuntimeError):  # where the other thread has it
                engine.advance(actions)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(ATTEMPTS):
            missing = {name for name in missing if not refused(calls[name])}
            if not missing:
                break
    finally:
        stop.set()
        worker.join()
    assert missing == set()


def test_engines_in_their_own_threads_do_not_meet() -> None:
    actions = still(5)
    engines = [large(threads=2) for _ in range(3)]
    workers = [threading.Thread(target=engine.advance, args=(actions,)) for engine in engines]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = large()
    expected.advance(actions)
    assert {engine.snapshot() for engine in engines} == {expected.snapshot()}


def test_a_thread_for_every_call() -> None:
    """More threads than the engine keeps pools for, one after the other; what they started ends with them."""
    before = helpers()
    engine, inline = large(threads=2), large()
    actions = still(1)[0]
    for _ in range(80):
        caller = threading.Thread(target=engine.step, args=(actions,), kwargs={"autoreset": "same_step"})
        caller.start()
        caller.join()
        inline.step(actions, autoreset="same_step")
    assert engine.snapshot() == inline.snapshot()
    # Two are the engine's own, for callers without a pool of theirs; some of the others may still be ending.
    deadline = time.monotonic() + 60.0
    while helpers() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert helpers() <= before + 2


def helpers() -> int:
    """Return how many threads of the engine there are, where the system tells."""
    count = 0
    for task in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it has just ended
            count += task.read_text().startswith("vecmarket-")
    return count


def test_engines_with_any_numbers_of_threads_take_turns_in_one_thread() -> None:
    actions = still(1)[0]
    engines = [large(threads) for threads in (2, 5, 1, 3, 0)]
    for _ in range(3):
        for engine in engines:
            engine.step(actions, autoreset="same_step")
    assert len({engine.snapshot() for engine in engines}) == 1


# Forks

FORK = """
    import gc
    import os
    import sys
    import warnings

    import numpy as np
    import vecmarket as vm

    warnings.filterwarnings("ignore", category=DeprecationWarning)
    scenario, count = vm.Scenario.default(), 20_000
    actions = np.zeros((count, 5, 2), dtype=np.float32)
    pooled = vm.Engine(scenario, count, threads=2)
    inline = vm.Engine(scenario, count, threads=1)
    for engine in (pooled, inline):
        engine.reset()
        engine.step(actions)
    state = inline.snapshot()

    def child():
        # The pool's threads are gone: a clear error, and the state as it was.
        calls = (lambda: pooled.step(actions), pooled.reset, lambda: pooled.advance(actions[None].copy()))
        for call in calls:
            try:
                call()
            except RuntimeError as error:
                assert "fork" in str(error), error
            else:
                raise AssertionError("stepped on threads that do not exist")
        assert pooled.snapshot() == state
        # What works: an engine without a pool, and a new one with a pool of its own.
        inline.step(actions)
        fresh = vm.Engine(scenario, count, threads=2)
        fresh.restore(state)
        fresh.step(actions)
        assert fresh.snapshot() == inline.snapshot()

    pid = os.fork()
    if pid == 0:
        try:
            child()
            del pooled
            gc.collect()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    pooled.step(actions)
    inline.step(actions)
    assert pooled.snapshot() == inline.snapshot()
    print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork_the_child_gets_an_error_and_never_hangs() -> None:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(vm.__file__).parents[1],
    )
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr


# Memory


def test_buffers_are_made_once() -> None:
    engine = vm.Engine(vm.Scenario.default(), 3)
    actions = np.zeros((3, 5, 2), dtype=np.float32)
    names = ("observations", "rewards", "terminated", "truncated", "prices", "demand", "dispatch", "profits")
    before = {name: getattr(engine, name) for name in names}
    assert engine.reset() is before["observations"]
    for _ in range(4):
        observations, rewards, terminated, truncated = engine.step(actions)
        assert observations is before["observations"]
        assert rewards is before["rewards"]
        assert terminated is before["terminated"]
        assert truncated is before["truncated"]
        for name, array in before.items():
            assert getattr(engine, name) is array
    engine.advance(actions[None].copy())
    engine.restore(engine.snapshot())
    assert all(getattr(engine, name) is array for name, array in before.items())


def test_a_kept_buffer_shows_the_present() -> None:
    engine = vm.Engine(vm.Scenario.default(), 3)
    seen = engine.reset()
    first = seen.copy()
    engine.step(np.zeros((3, 5, 2), dtype=np.float32))
    assert (seen[..., 0] != first[..., 0]).all()


def test_a_buffer_outlives_its_engine() -> None:
    engine = vm.Engine(vm.Scenario.default(), 3)
    seen = engine.reset()
    kept = seen.copy()
    del engine
    assert seen.tobytes() == kept.tobytes()


def test_actions_are_neither_changed_nor_kept() -> None:
    engine = vm.Engine(vm.Scenario.default(), 3)
    engine.reset()
    actions = np.full((3, 5, 2), 30.0, dtype=np.float32)
    actions.flags.writeable = False
    references = sys.getrefcount(actions)
    engine.step(actions)
    assert (actions == 30.0).all()
    assert sys.getrefcount(actions) == references


def test_a_buffer_that_the_user_locked_is_an_error_and_no_change() -> None:
    engine = vm.Engine(vm.Scenario.default(), 3)
    engine.reset()
    state = engine.snapshot()
    engine.rewards.flags.writeable = False
    with pytest.raises(RuntimeError, match=r"engine\.rewards"):
        engine.step(np.zeros((3, 5, 2), dtype=np.float32))
    engine.rewards.flags.writeable = True
    assert engine.snapshot() == state


def test_a_locked_buffer_is_found_however_it_was_reached() -> None:
    """Also one that nobody holds any more, and by the calls that hand no buffers out."""
    env = vm.MarketVectorEnv(2, threads=1, copy=False)
    env.reset(seed=0)
    actions = np.zeros((2, 2), dtype=np.float32)
    state = env.engine.snapshot()
    for name in ("dispatch", "terminated", "final_observations"):
        getattr(env.engine, name).flags.writeable = False
        with pytest.raises(RuntimeError, match=rf"engine\.{name}"):
            env.step(actions)
        getattr(env.engine, name).flags.writeable = True
    assert env.engine.snapshot() == state
    env.step(actions)


def test_locking_a_view_is_no_business_of_the_engine() -> None:
    env = vm.MarketVectorEnv(2, threads=1, copy=False)
    observations, _ = env.reset(seed=0)
    observations.flags.writeable = False
    env.engine.views()["markets"].flags.writeable = False
    before = observations.copy()
    assert env.step(np.zeros((2, 2), dtype=np.float32))[0] is observations
    assert (observations != before).any()


def test_a_buffer_that_another_call_reads_is_an_error_and_no_change() -> None:
    """Its own observations as actions: the one borrower of a buffer that a single thread can be."""
    engine = vm.Engine(vm.Scenario.default(), 3)
    seen = engine.reset()
    state = engine.snapshot()
    actions = seen.reshape(-1)[: 3 * 5 * 2].reshape(3, 5, 2)
    assert np.shares_memory(actions, seen)
    with pytest.raises(RuntimeError, match=r"engine\.observations.*already borrowed"):
        engine.step(actions)
    assert engine.snapshot() == state
    engine.step(actions.copy())


def test_buffers_are_contiguous_and_apart() -> None:
    engine = vm.Engine(vm.Scenario.default(), 3)
    engine.reset()
    names = ("observations", "final_observations", "rewards", "terminated", "truncated", "prices", "demand")
    arrays = [getattr(engine, name) for name in (*names, "unserved", "dispatch", "profits")]
    for i, array in enumerate(arrays):
        assert type(array) is np.ndarray
        assert array.flags.carray
        assert not any(np.shares_memory(array, other) for other in arrays[:i])
