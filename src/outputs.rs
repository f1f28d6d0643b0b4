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
    /// Most of what one step of all environments writes, bytes.
    pub fn bytes(self) -> usize {
        let (doubles, floats) = (2 * self.agents, self.acting * (self.width + 1));
        self.envs * (doubles * size_of::<f64>() + floats * size_of::<f32>())
    }

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

/// The buffers of one call for some rows, step by step.
pub trait Rows<'a>: AsMut<[Outputs<'a>]> + Send + Sized {
    /// Takes the buffers of so many rows.
    fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self;

    /// Called when all steps have been written.
    fn finish(self, layout: Layout);
}

/// A single step.
impl<'a> Rows<'a> for [Outputs<'a>; 1] {
    #[inline]
    fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self {
        self.each_mut().map(|out| out.take(end, rows, layout))
    }

    #[inline]
    fn finish(self, _: Layout) {}
}

/// The buffers of several steps, and those that are left as the last step would have left them.
#[derive(Debug)]
pub struct Steps<'a> {
    each: Vec<Outputs<'a>>,
    last: Outputs<'a>,
    autoreset: Autoreset,
}

impl<'a> Steps<'a> {
    /// Of all rows; the buffers of `all` have a leading k.
    pub fn new(mut all: Outputs<'a>, steps: usize, last: Outputs<'a>, layout: Layout, autoreset: Autoreset) -> Self {
        let each = (0..steps).map(|_| all.take(End::Front, layout.envs, layout)).collect();
        Self { each, last, autoreset }
    }
}

impl<'a> AsMut<[Outputs<'a>]> for Steps<'a> {
    fn as_mut(&mut self) -> &mut [Outputs<'a>] {
        &mut self.each
    }
}

impl<'a> Rows<'a> for Steps<'a> {
    fn take(&mut self, end: End, rows: usize, layout: Layout) -> Self {
        let each = self.each.iter_mut().map(|out| out.take(end, rows, layout)).collect();
        Self { each, last: self.last.take(end, rows, layout), autoreset: self.autoreset }
    }

    fn finish(mut self, layout: Layout) {
        let Some(out) = self.each.last() else { return };
        self.last.copy_of(out);
        if self.autoreset == Autoreset::SameStep {
            for out in &self.each {
                self.last.copy_final(out, layout);
            }
        }
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

    /// Takes all but the true final observations.
    fn copy_of(&mut self, other: &Outputs<'_>) {
        self.observations.copy_from_slice(other.observations);
        self.rewards.copy_from_slice(other.rewards);
        self.terminated.copy_from_slice(other.terminated);
        self.truncated.copy_from_slice(other.truncated);
        self.prices.copy_from_slice(other.prices);
        self.demand.copy_from_slice(other.demand);
        self.unserved.copy_from_slice(other.unserved);
        self.dispatch.copy_from_slice(other.dispatch);
        self.profits.copy_from_slice(other.profits);
    }

    /// Takes the true final observations of the environments whose episode a step ended.
    fn copy_final(&mut self, other: &Outputs<'_>, layout: Layout) {
        let size = layout.acting * layout.width;
        for (row, (ended, cut)) in other.terminated.iter().zip(&*other.truncated).enumerate() {
            if *ended || *cut {
                let cells = row * size..(row + 1) * size;
                self.final_observations[cells.clone()].copy_from_slice(&other.final_observations[cells]);
            }
        }
    }
}
