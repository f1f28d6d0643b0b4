//! The caller's buffers, cut into the rows of each shard.

use crate::bidding::ACTION_WIDTH;
use crate::error::{Error, Result};
use crate::step::{Autoreset, Outputs};

const MOST_CELLS: usize = 1 << 30;

/// Sizes of a batch's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Environments, N.
    pub envs: usize,
    /// Agents of a market, A.
    pub agents: usize,
    /// Acting agents, L.
    pub acting: usize,
    /// Floats in one observation, F.
    pub width: usize,
}

impl Layout {
    /// Refuses buffers that are too large to be meant.
    pub fn check_size(self, steps: usize) -> Result<()> {
        let row = self.acting * self.width.max(ACTION_WIDTH);
        let cells = self.envs.checked_mul(row).and_then(|cells| cells.checked_mul(steps));
        if cells.is_none_or(|cells| cells > MOST_CELLS) {
            let reason =
                format!("{} environments, {steps} steps a call, need buffers of more than 2^30 entries", self.envs);
            return Err(Error::value("num_envs", reason));
        }
        Ok(())
    }
}

/// An end of a row of things, from which some are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first of them.
    Front,
    /// The last of them.
    Back,
}

impl End {
    /// Takes so many.
    #[inline(always)]
    pub fn take<'a, T>(self, rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
        let all = std::mem::take(rest);
        match self {
            Self::Front => {
                let (taken, others) = all.split_at_mut(count);
                *rest = others;
                taken
            }
            Self::Back => {
                let (others, taken) = all.split_at_mut(all.len() - count);
                *rest = others;
                taken
            }
        }
    }
}

/// The buffers of one call for some rows: those of a single step, or one for each of several steps.
pub trait Rows<'a>: AsMut<[Outputs<'a>]> + Send + Sized {
    /// Takes the buffers of so many rows.
    fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self;
}

impl<'a> Rows<'a> for [Outputs<'a>; 1] {
    #[inline]
    fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self {
        self.each_mut().map(|out| out.take(end, rows, layout))
    }
}

impl<'a> Rows<'a> for Vec<Outputs<'a>> {
    fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self {
        self.iter_mut().map(|out| out.take(end, rows, layout)).collect()
    }
}

impl Outputs<'_> {
    /// The same buffers for a shorter time.
    pub fn reborrow(&mut self) -> Outputs<'_> {
        Outputs {
            observations: self.observations,
            final_observations: self.final_observations,
            rewards: self.rewards,
            terminated: self.terminated,
            truncated: self.truncated,
            prices: self.prices,
            demand: self.demand,
            unserved: self.unserved,
            dispatch: self.dispatch,
            profits: self.profits,
        }
    }

    /// Takes the buffers of so many rows.
    #[inline]
    pub fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self {
        let (agents, acting) = (rows * layout.agents, rows * layout.acting);
        Self {
            observations: end.take(&mut self.observations, acting * layout.width),
            final_observations: end.take(&mut self.final_observations, acting * layout.width),
            rewards: end.take(&mut self.rewards, acting),
            terminated: end.take(&mut self.terminated, rows),
            truncated: end.take(&mut self.truncated, rows),
            prices: end.take(&mut self.prices, rows),
            demand: end.take(&mut self.demand, rows),
            unserved: end.take(&mut self.unserved, rows),
            dispatch: end.take(&mut self.dispatch, agents),
            profits: end.take(&mut self.profits, agents),
        }
    }

    /// Takes what the last of several steps wrote, and the last true final observation of every environment.
    pub fn take_last_of(&mut self, all: &Outputs<'_>, layout: Layout, autoreset: Autoreset) {
        last(self.observations, all.observations);
        last(self.rewards, all.rewards);
        last(self.terminated, all.terminated);
        last(self.truncated, all.truncated);
        last(self.prices, all.prices);
        last(self.demand, all.demand);
        last(self.unserved, all.unserved);
        last(self.dispatch, all.dispatch);
        last(self.profits, all.profits);
        if autoreset != Autoreset::SameStep {
            return;
        }
        let size = layout.acting * layout.width;
        for (i, row) in all.final_observations.chunks_exact(size).enumerate() {
            if all.terminated[i] || all.truncated[i] {
                self.final_observations[i % layout.envs * size..][..size].copy_from_slice(row);
            }
        }
    }
}

fn last<T: Copy>(to: &mut [T], from: &[T]) {
    to.copy_from_slice(&from[from.len() - to.len()..]);
}
