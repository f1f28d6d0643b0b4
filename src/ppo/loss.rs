//! The clipped loss of a tile of samples, and its gradients with respect to what actor and critic make of them.

use crate::nn::{Line, TILE, exp, lines};
use crate::simd::{Short, WIDE, Wide};

/// Numbers of a sample beside observation and action, in their order: log-probability, advantage, return and value.
pub const FACTS: usize = 4;
/// Which of them is the advantage.
pub const ADVANTAGE: usize = 1;

const HALF_LOG_2PI: f32 = 0.918_938_5;

/// How the loss is put together.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How far the ratio may leave 1.
    pub clip: f32,
    /// How far a value may change; infinity for no limit.
    pub value_clip: f32,
    /// Weight of the value loss.
    pub value_weight: f32,
    /// Subtracted from advantages.
    pub mean: f32,
    /// Advantages are then multiplied by it.
    pub factor: f32,
    /// One through the samples of the minibatch.
    pub share: f32,
}

/// Sums over samples: policy loss, value loss, divergence, clipped ratios.
pub const SUMS: usize = 4;

/// The numbers of a tile's samples in columns of rows.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Actions, then the means of them, then the gradients of these: A columns each.
    pub actions: Vec<[f32; TILE]>,
    pub means: Vec<[f32; TILE]>,
    /// See [`FACTS`].
    pub facts: [[f32; TILE]; FACTS],
    /// What the critic says, then the gradient of it.
    pub values: [f32; TILE],
    /// 1 for rows that count, 0 for those to spare.
    pub counts: [f32; TILE],
}

impl Columns {
    pub fn new(actions: usize) -> Self {
        let blank = [0.0; TILE];
        Self {
            actions: vec![blank; actions],
            means: vec![blank; actions],
            facts: [blank; FACTS],
            values: blank,
            counts: blank,
        }
    }

    /// Turns means and values into gradients, and adds to the sums over the samples and to the gradients of the log
    /// standard deviations.
    #[inline(always)]
    pub fn differentiate<S: Short>(
        &mut self,
        simd: S,
        terms: Terms,
        spread: &[Line],
        sums: &mut [Line; SUMS],
        of_spread: &mut [Line],
    ) {
        let zero = simd.wide_splat(0.0);
        let one = simd.wide_splat(1.0);
        for group in 0..TILE / WIDE {
            let at = group * WIDE;
            let [log_probs, advantages, returns, old_values] = [
                part(simd, &self.facts[0], at),
                part(simd, &self.facts[1], at),
                part(simd, &self.facts[2], at),
                part(simd, &self.facts[3], at),
            ];
            let counts = part(simd, &self.counts, at);
            let mut log_prob = zero;
            for (i, (action, mean)) in self.actions.iter().zip(&self.means).enumerate() {
                let log_std = spread[i / WIDE].0[i % WIDE];
                let noise = (part(simd, action, at) - part(simd, mean, at)) * exp(simd, simd.wide_splat(-log_std));
                let half = simd.wide_splat(0.5) * noise;
                log_prob = log_prob - half.times_plus(noise, simd.wide_splat(log_std + HALF_LOG_2PI));
            }
            let log_ratio = log_prob - log_probs;
            let ratio = exp(simd, log_ratio);
            let advantage = (advantages - simd.wide_splat(terms.mean)) * simd.wide_splat(terms.factor);
            let (low, high) = (simd.wide_splat(1.0 - terms.clip), simd.wide_splat(1.0 + terms.clip));
            let (plain, clipped) = (ratio * advantage, ratio.larger(low).smaller(high) * advantage);
            // Where the clipped one is smaller, it is out of its bounds and does not move.
            let moves = one - clipped.is_below(plain);
            let gradient = (zero - advantage) * ratio * moves * counts * simd.wide_splat(terms.share);
            for (i, (action, mean)) in self.actions.iter().zip(&mut self.means).enumerate() {
                let log_std = spread[i / WIDE].0[i % WIDE];
                let inverse = exp(simd, simd.wide_splat(-log_std));
                let noise = (part(simd, action, at) - part(simd, mean, at)) * inverse;
                put(mean, at, gradient * noise * inverse);
                let own = gradient * (noise * noise - one);
                of_spread[i / WIDE].0[i % WIDE] += own.total();
            }

            let value = part(simd, &self.values, at);
            let reach = simd.wide_splat(terms.value_clip);
            let error = value - returns;
            let change = value - old_values;
            let held = old_values + change.larger(zero - reach).smaller(reach) - returns;
            let (square, held) = (error * error, held * held);
            // Where the held one is larger because its change is out of bounds, it does not move.
            let out = reach.is_below(change.larger(zero - change));
            let moves = one - out * square.is_below(held);
            put(&mut self.values, at, error * moves * counts * simd.wide_splat(terms.value_weight * terms.share));

            let distance = (ratio - one).larger(one - ratio);
            let half = simd.wide_splat(0.5);
            let of_group = [
                zero - plain.smaller(clipped),
                half * square.larger(held),
                ratio - one - log_ratio,
                simd.wide_splat(terms.clip).is_below(distance),
            ];
            for (sum, x) in sums.iter_mut().zip(of_group) {
                sum.0 = x.times_plus(counts, simd.wide(sum.0)).array();
            }
        }
    }

    /// Writes the gradients of the means into rows, and those of the values.
    #[inline(always)]
    pub fn put_gradients(&self, rows: usize, of_means: &mut [Line], of_values: &mut [Line]) {
        let stride = lines(self.means.len());
        for (row, (means, value)) in of_means.chunks_exact_mut(stride).zip(of_values).take(rows).enumerate() {
            means.fill(Line::default());
            for (i, column) in self.means.iter().enumerate() {
                means[i / WIDE].0[i % WIDE] = column[row];
            }
            *value = Line::default();
            value.0[0] = self.values[row];
        }
    }
}

#[inline(always)]
fn part<S: Short>(simd: S, column: &[f32; TILE], at: usize) -> S::Wide {
    let mut part = [0.0; WIDE];
    part.copy_from_slice(&column[at..][..WIDE]);
    simd.wide(part)
}

#[inline(always)]
fn put<W: Wide>(column: &mut [f32; TILE], at: usize, x: W) {
    column[at..][..WIDE].copy_from_slice(&x.array());
}
