"""The rounds of a game: what every round's profile came to, and whether the rounds settle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket.evaluation.dynamics import Dynamics, diagnose
from vecmarket.evaluation.exploitability import check_setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.evaluation.exploitability import ProfileEvaluation

__all__ = ["Rounds"]


@dataclass(frozen=True, eq=False)
class Rounds:
    """What the profiles of a run came to, round by round. R rounds, A agents.

    Attributes
    ----------
    agents
        Names of the agents, (A,).
    price
        Mean clearing price, $/MWh, (R,).
    profit
        Mean profits, $/h, (R, A).
    gain
        What each agent would gain by its best response, $/h, (R, A); NaN for who was not offered one.
    exploitability
        Sum of the gains, $/h, (R,).
    actions
        Actions of every round, (R, ...), where the caller has them; they are judged with the rest.

    Raises
    ------
    ValueError
        When the shapes do not fit, or there is no round.
    """

    agents: tuple[str, ...]
    price: NDArray[np.float64]
    profit: NDArray[np.float64]
    gain: NDArray[np.float64]
    exploitability: NDArray[np.float64]
    actions: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        rounds = len(self.price)
        if not rounds:
            raise ValueError("price: must hold at least one round")
        shape = (rounds, len(self.agents))
        for name, expected in (
            ("price", (rounds,)),
            ("profit", shape),
            ("gain", shape),
            ("exploitability", (rounds,)),
        ):
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name}: must have shape {expected}, got {getattr(self, name).shape}")
        if self.actions is not None and len(self.actions) != rounds:
            raise ValueError(f"actions: must hold {rounds} rounds, got {len(self.actions)}")

    @classmethod
    def of(
        cls, evaluations: Iterable[ProfileEvaluation], actions: NDArray[np.float64] | None = None
    ) -> Rounds:
        """Return the rounds whose profiles were evaluated, one evaluation per round; none of them is kept.

        Raises
        ------
        ValueError
            When there is none, or they differ in scenario, episodes, deviators or grid.
        """
        agents: tuple[str, ...] = ()
        first: dict[str, Any] = {}
        price, profit, gain, exploitability = [], [], [], []
        for i, evaluation in enumerate(evaluations):
            agents, first = evaluation.agents, first or evaluation.setting
            check_setting(i, evaluation.setting, first)
            price.append(evaluation.played.price.mean())
            profit.append(evaluation.played.profit.mean(axis=(0, 1)))
            gain.append(evaluation.gains)
            exploitability.append(evaluation.exploitability)
        if not price:
            raise ValueError("evaluations: must hold at least one round")
        return cls(
            agents=agents,
            price=np.array(price),
            profit=np.stack(profit),
            gain=np.stack(gain),
            exploitability=np.array(exploitability),
            actions=actions,
        )

    @property
    def relative_exploitability(self) -> NDArray[np.float64]:
        """Exploitability over the deviators' profits, (R,); NaN where these are not positive."""
        own = np.where(np.isnan(self.gain), 0.0, self.profit).sum(axis=1)
        share: NDArray[np.float64] = np.full(len(own), np.nan)
        np.divide(self.exploitability, own, out=share, where=own > 0)
        return share

    def __len__(self) -> int:
        return len(self.price)

    def dynamics(self, *, window: int = 5, tolerance: float = 0.01) -> dict[str, Dynamics]:
        """Judge price, profits, exploitability and, where given, actions; see `diagnose`.

        Parameters
        ----------
        window
            Rounds at the end that have to agree.
        tolerance
            How far apart they may lie, as a share of the mean absolute price, of the mean of all agents'
            profits together for profits and exploitability, and of the largest action.
        """
        earned = float(np.abs(self.profit.sum(axis=1)).mean())
        series = {
            "price": (self.price, float(np.abs(self.price).mean())),
            "profit": (self.profit, earned),
            "exploitability": (self.exploitability, earned),
        }
        if self.actions is not None:
            series["actions"] = (self.actions, float(np.abs(self.actions).max(initial=0.0)))
        return {
            name: diagnose(values, window=window, tolerance=tolerance * scale)
            for name, (values, scale) in series.items()
        }

    def verdict(self, *, window: int = 5, tolerance: float = 0.01) -> str:
        """Return in a word how the run ends: settled only where everything judged is.

        ``"settled"``, ``"cycling"`` where anything cycles, ``"drifting"``, or ``"short"``.
        """
        kinds = {d.kind for d in self.dynamics(window=window, tolerance=tolerance).values()}
        return next(kind for kind in ("short", "cycling", "drifting", "settled") if kind in kinds)
