"""One training run: the scenario, its environment, PPO, checkpoints and logs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from vecmarket.config import Scenario
from vecmarket.envs import MarketVectorEnv
from vecmarket.files import write_atomically
from vecmarket.scenarios import by_name
from vecmarket.scenarios.days import training_days
from vecmarket.training.checkpoints import Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint
from vecmarket.training.config import TrainConfig
from vecmarket.training.folder import (
    CONFIG_FILE,
    FREE_SETTINGS,
    POLICY_FILE,
    SCENARIO_FILE,
    check_same,
    check_stays,
    make_folder,
    never_began,
    read_settings,
)
from vecmarket.training.interrupts import HeldInterrupt
from vecmarket.training.logs import METRICS_FILE, CsvLog, Log, ProgressLog, RunLog, TensorBoardLog
from vecmarket.training.native import NativePPO
from vecmarket.training.policy import ActorCritic, NumpyPolicy, as_numpy_policy, save_policy
from vecmarket.training.ppo import PPO

__all__ = [
    "TrainResult",
    "build_scenario",
    "run_scenario",
    "torch_threads",
    "train",
]

Learner: TypeAlias = "PPO | NativePPO"


@dataclass(frozen=True)
class TrainResult:
    """What a run left.

    Attributes
    ----------
    run
        The run's folder: settings, scenario, checkpoint, policy, logs.
    config, scenario
        Its settings, and the whole scenario that the days of training were taken from.
    model
        The trained networks, on the CPU.
    steps, seconds
        Steps of the learner, and the time they took, over all sittings.
    figures
        The last iteration's row of metrics.csv; empty when there was none.
    interrupted
        Whether Ctrl-C ended the run; its checkpoint is up to date.
    """

    run: Path
    config: TrainConfig
    scenario: Scenario
    model: ActorCritic
    steps: int
    seconds: float
    figures: dict[str, float]
    interrupted: bool

    @property
    def policy(self) -> NumpyPolicy:
        """The deterministic policy: float32 observations (N, F) to actions (N, 2)."""
        return as_numpy_policy(self.model)

    @property
    def steps_per_second(self) -> float:
        """Steps of the learner per second, play and learning together."""
        return self.steps / self.seconds if self.seconds > 0 else 0.0


def train(config: TrainConfig | None = None, *, resume: str | os.PathLike[str] | None = None) -> TrainResult:
    """Train one agent of a market with PPO.

    The folder ``config.out / config.name`` receives config.json, scenario.toml, checkpoint.pt,
    policy.safetensors and the logs. Days that evaluation plays are left out. Ctrl-C ends the run after the
    iteration that it finds under way, with a checkpoint; pressed twice, it stops at once and leaves the
    checkpoint before. A run resumed from either ends with the same weights, bit for bit, as one that was
    never interrupted.

    Parameters
    ----------
    config
        Settings of the run; the defaults when both arguments are left out. With `resume`, None takes the
        run's own.
    resume
        Folder of a run, or its checkpoint, to go on with. A run that was ended before its first checkpoint
        begins anew, with the settings and in the folder that it has.

    Raises
    ------
    FileNotFoundError
        When `resume` or a table of the scenario is not there.
    ValueError
        When a setting cannot be used, the run's folder is taken, or `config` differs from the run to resume.
    """
    checkpoint: Checkpoint | None = None
    run: Path | None = None
    if resume is None:
        config = config or TrainConfig()
        scenario = build_scenario(config)
    else:
        path = checkpoint_path(resume)
        run = path.parent
        if never_began(resume):
            own = read_settings(run, TrainConfig.from_json)
        else:
            checkpoint = load_checkpoint(path)
            own = checkpoint.config
        if config is not None:
            check_same(own, config, FREE_SETTINGS)
            check_stays(run, own, config)
        config = config or own
        scenario = run_scenario(run, config)

    with torch_threads(config.torch_threads):
        learner = _make_learner(config, scenario)
        if checkpoint is not None:
            learner.restore(checkpoint.learner)
        if run is None:
            usual = f"{Path(config.scenario).stem}-{config.learner}-seed{config.seed}"
            run = make_folder(config.out, config.name, usual)
            write_atomically(run / CONFIG_FILE, config.to_json().encode())
        if checkpoint is None:
            scenario.save(run / SCENARIO_FILE)
        return _run(learner, config, scenario, run, 0.0 if checkpoint is None else checkpoint.seconds)


def run_scenario(run: Path, config: TrainConfig) -> Scenario:
    """Return a run's scenario; that of its settings where it was ended before it wrote it down."""
    path = run / SCENARIO_FILE
    if never_began(run) and not path.exists():
        return build_scenario(config)
    return Scenario.load(path)


def build_scenario(config: TrainConfig) -> Scenario:
    """Return the scenario that the settings name: a shipped one, a TOML file, or tables."""
    if config.scenario == "csv":
        assert config.fleet is not None
        assert config.demand is not None
        return Scenario.from_csv(config.fleet, config.demand, renewables=config.renewables)
    if config.scenario.endswith(".toml"):
        return Scenario.load(config.scenario)
    return by_name(config.scenario)


def _run(learner: Learner, config: TrainConfig, scenario: Scenario, run: Path, before: float) -> TrainResult:
    """Iterate to the end, or to Ctrl-C; `before` is the time of earlier sittings, in seconds."""
    start, seconds = time.perf_counter(), before
    row: dict[str, float] = {}

    def save() -> None:
        log.sync()
        save_checkpoint(checkpoint_path(run), Checkpoint(config, learner.state(), seconds))

    with HeldInterrupt() as interrupt, RunLog(_logs(learner, config, run)) as log:
        save()
        while not (learner.finished or interrupt.heard):
            began = time.perf_counter()
            figures = learner.iterate()
            now = time.perf_counter()
            seconds = before + now - start
            row = {
                "iteration": learner.iteration,
                "steps": learner.steps,
                "seconds": seconds,
                "steps_per_second": learner.steps_per_iteration / (now - began),
                **figures,
            }
            log.write(row)
            if learner.iteration % config.checkpoint_every == 0:
                save()
        if row and learner.iteration % config.checkpoint_every:
            save()
        save_policy(learner.model, run / POLICY_FILE)
    return TrainResult(
        run=run,
        config=config,
        scenario=scenario,
        model=learner.model.cpu(),
        steps=learner.steps,
        seconds=seconds,
        figures=row,
        interrupted=interrupt.heard,
    )


def _learner_place(config: TrainConfig, scenario: Scenario) -> int:
    """Return the learner's place; who says nothing of it has the default's, which is of one scenario."""
    try:
        return scenario.agent_index(config.learner)
    except (TypeError, ValueError) as error:
        reason = str(error).removeprefix("agent: ")
        raise type(error)(f"learner: --learner must name one of the scenario's agents: {reason}") from None


def _make_learner(config: TrainConfig, scenario: Scenario) -> Learner:
    days = training_days(scenario)
    env = MarketVectorEnv(
        config.num_envs,
        scenario if days is None else scenario.replace(days=days),
        learner=_learner_place(config, scenario),
        rivals=config.rivals,
        autoreset_mode="same_step",
        copy=False,
        threads=config.engine_threads,
    )
    if config.backend == "native":
        return NativePPO(
            env,
            config.ppo,
            total_steps=config.total_steps,
            seed=config.seed,
            threads=config.engine_threads,
        )
    return PPO(
        env,
        config.ppo,
        total_steps=config.total_steps,
        seed=config.seed,
        device=config.device,
        info_means=("profit", "price"),
    )


def _logs(learner: Learner, config: TrainConfig, run: Path) -> list[Log]:
    logs: list[Log] = []
    if config.csv:
        logs.append(CsvLog(run / METRICS_FILE, learner.iteration))
    if config.tensorboard:
        logs.append(TensorBoardLog(run / "tensorboard", learner.steps))
    if config.progress:
        logs.append(ProgressLog(learner.total_iterations * learner.steps_per_iteration, learner.steps))
    return logs


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads, 0 for its own choice, and put its number back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
