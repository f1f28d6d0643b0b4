"""What a game tells while it runs: a bar with the round and who learns, and a line per agent and round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard.writer import SummaryWriter

from vecmarket.training.games.players import GameLearner, Row

__all__ = ["RoundBoard", "RoundProgress"]

_FIGURES = ("gain", "profit", "dispatch", "price", "mixture_profit", "mixture_price")


class RoundProgress:
    """A progress bar over all rounds, above which every round leaves a line per agent.

    Parameters
    ----------
    learner
        The game.
    rounds
        Rounds at most.
    total_steps
        Steps of all learners in all rounds.
    """

    def __init__(self, learner: GameLearner, rounds: int, total_steps: int) -> None:
        self._rounds = rounds
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        self._task = self._progress.add_task("", total=total_steps, completed=learner.steps, figures="")
        self._progress.start()
        self.show(learner, {})

    def show(self, learner: GameLearner, figures: Mapping[str, float]) -> None:
        """Move the bar."""
        told = [escape(learner.training)] if learner.training else []
        if math.isfinite(figures.get("mean_profit", math.nan)):
            told.append(f"profit {figures['mean_profit']:,.0f} $/h")
        self._progress.update(
            self._task,
            description=f"round {min(learner.round + 1, self._rounds)}/{self._rounds}",
            completed=learner.steps,
            figures=" | ".join(told),
        )

    def end_round(self, rows: Sequence[Row]) -> None:
        """Leave the lines of a round."""
        for row in rows:
            self._progress.console.print(_line(row), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


class RoundBoard:
    """Figures of every round as TensorBoard scalars over rounds, one group per figure.

    A run that goes on hides what came after its checkpoint.
    """

    def __init__(self, folder: Path, round_: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=round_ + 1)

    def end_round(self, rows: Sequence[Row]) -> None:
        """Add a round."""
        for row in rows:
            for name in _FIGURES:
                value = row.get(name)
                if isinstance(value, float | int) and math.isfinite(value):
                    self._writer.add_scalar(f"{name}/{row['agent']}", value, int(row["round"]))
        self._writer.flush()

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()


def _line(row: Row) -> str:
    gain = row["gain"]
    assert isinstance(gain, float)
    learned = "" if math.isnan(gain) else f"  gain {gain:,.1f} $/h, {'changed' if row['changed'] else 'kept'}"
    if not row["asked"]:
        learned = "  not asked"
    return (
        f"round {row['round']}  {escape(str(row['agent']))}  profit {row['profit']:,.1f} $/h"
        f"  price {row['price']:,.2f} $/MWh{learned}"
    )
