//! The numbers of the episodes, by slot: one for all environments, or each its own where the scenario draws them.

use crate::rng::Streams;
use crate::scenario::Scenario;
use crate::simd::{LANES, Lanes, Vector};

/// The numbers of the episodes of a shard.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// The same in every environment, (slots,).
    Shared(Vec<f64>),
    /// Drawn per environment and episode, (S / 8 blocks, slots).
    Drawn {
        /// The numbers.
        lanes: Vec<Lanes>,
        /// Slots of one environment.
        slots: usize,
    },
}

/// One number in the environments of a block, in either form.
pub trait Number: Copy {
    /// In lanes.
    fn get<V: Vector>(&self, simd: V) -> V::Float;
}

impl Number for f64 {
    #[inline(always)]
    fn get<V: Vector>(&self, simd: V) -> V::Float {
        simd.splat(*self)
    }
}

impl Number for Lanes {
    #[inline(always)]
    fn get<V: Vector>(&self, simd: V) -> V::Float {
        simd.load(self)
    }
}

/// Work on a block that needs its numbers, compiled for either form of them.
pub trait WithNumbers<V: Vector> {
    /// What comes out.
    type Output;

    /// Does it; `numbers` is (slots,).
    fn run<N: Number>(self, simd: V, numbers: &[N]) -> Self::Output;
}

impl Numbers {
    /// The numbers of so many blocks.
    pub fn new(scenario: &Scenario, blocks: usize) -> Self {
        let base = scenario.base_row();
        if scenario.is_randomised() {
            let block: Vec<Lanes> = base.iter().map(|&x| Lanes::splat(x)).collect();
            Self::Drawn { lanes: block.repeat(blocks), slots: base.len() }
        } else {
            Self::Shared(base.to_vec())
        }
    }

    /// Runs work with the numbers of a block.
    #[inline(always)]
    pub fn with<V: Vector, W: WithNumbers<V>>(&self, simd: V, block: usize, work: W) -> W::Output {
        match self {
            Self::Shared(numbers) => work.run(simd, numbers),
            Self::Drawn { lanes, slots } => work.run(simd, &lanes[block * slots..][..*slots]),
        }
    }

    /// A number in one environment.
    #[inline]
    pub fn row(&self, row: usize, slot: usize) -> f64 {
        match self {
            Self::Shared(numbers) => numbers[slot],
            Self::Drawn { lanes, slots } => lanes[row / LANES * slots + slot][row % LANES],
        }
    }

    /// Draws those of one environment's episode; `drawn` is working memory, (slots,).
    pub fn draw(&mut self, scenario: &Scenario, streams: Streams, row: usize, drawn: &mut [f64]) {
        if let Self::Drawn { lanes, slots } = self {
            scenario.draw(streams, drawn);
            for (lanes, x) in lanes[row / LANES * *slots..].iter_mut().zip(drawn) {
                lanes[row % LANES] = *x;
            }
        }
    }
}
