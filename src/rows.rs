//! How rows of observations are put together from features.

use crate::observers::{Feature, Varies, View};
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::shard::Shard;
use crate::simd::LANES;

/// Floats that are written at once.
const CHUNK: usize = 8;
type Chunk = [f32; CHUNK];

/// How observations are put together: what never changes is written once and for all, what all agents of a market see
/// alike once per market; a row is the two laid over each other, and then what is the agent's own.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// Chunks of one row: F rounded up.
    chunks: usize,
    /// What never changes, zero elsewhere, (L, chunks).
    fixed: Vec<Chunk>,
    /// Features that the market's agents see alike, with their first and last column.
    market: Vec<(Feature, usize, usize)>,
    /// Features of the agent's own.
    own: Vec<(Feature, usize, usize)>,
}

impl Template {
    /// Sorts the features of a scenario and writes those that never change, for the agents that act.
    pub fn new(scenario: &Scenario, seats: &Seats) -> Self {
        let chunks = scenario.width.div_ceil(CHUNK);
        let fixed = vec![[0.0; CHUNK]; seats.acting().len() * chunks];
        let mut template = Self { chunks, fixed, market: vec![], own: vec![] };
        let any_shard = Shard::new(scenario, 0, 1, 0);
        let view = View::new(scenario, &any_shard, 0);
        let mut at = 0;
        for &(feature, width) in &scenario.features {
            match feature.varies() {
                Varies::Episode if !scenario.is_randomised() => {
                    for (row, &agent) in template.fixed.chunks_exact_mut(chunks).zip(seats.acting()) {
                        feature.write(&view, agent, &mut row.as_flattened_mut()[at..at + width]);
                    }
                }
                Varies::Market => template.market.push((feature, at, at + width)),
                Varies::Episode | Varies::Agent => template.own.push((feature, at, at + width)),
            }
            at += width;
        }
        template
    }
}

/// Writes the observations of rows `rows`, (S, L, F) of the whole shard, for the acting agents.
#[inline(always)]
pub fn observe(
    scenario: &Scenario,
    template: &Template,
    seats: &Seats,
    shard: &mut Shard,
    rows: std::ops::Range<usize>,
    observations: &mut [f32],
) {
    let (width, acting, chunks) = (scenario.width, seats.acting(), template.chunks);
    let mut market_rows = std::mem::take(&mut shard.scratch.market_rows);
    market_rows.resize(LANES * chunks, [0.0; CHUNK]);
    let observations = &mut observations[..rows.end * acting.len() * width];
    for first in rows.clone().step_by(LANES) {
        let block = first..rows.end.min(first + LANES);
        // All market rows of a block before any is read: a vector loaded right behind the stores of its parts would wait
        // for them.
        for (row, market_row) in block.clone().zip(market_rows.chunks_exact_mut(chunks)) {
            let market = View::new(scenario, shard, row);
            for &(feature, from, to) in &template.market {
                feature.write(&market, 0, &mut market_row.as_flattened_mut()[from..to]);
            }
        }
        let mut at = first * acting.len() * width;
        for (_, market_row) in block.clone().zip(market_rows.chunks_exact(chunks)) {
            if let [market_row] = market_row {
                for fixed in &template.fixed {
                    overlay(fixed, market_row, observations, at, width);
                    at += width;
                }
            } else {
                for fixed in template.fixed.chunks_exact(chunks) {
                    for (c, (fixed, market)) in fixed.iter().zip(market_row).enumerate() {
                        overlay(fixed, market, observations, at + c * CHUNK, width - c * CHUNK);
                    }
                    at += width;
                }
            }
        }
        if !template.own.is_empty() {
            for row in block {
                let market = View::new(scenario, shard, row);
                let out = observations[row * acting.len() * width..].chunks_exact_mut(width);
                for (out, &agent) in out.zip(acting) {
                    for &(feature, from, to) in &template.own {
                        feature.write(&market, agent, &mut out[from..to]);
                    }
                }
            }
        }
    }
    shard.scratch.market_rows = market_rows;
}

/// Writes two chunks laid over each other, one of which is zero in each column. The whole chunk is written where there is
/// room: what is more than `width` is overwritten by the next row. At the end of the buffer no more than `width` is.
#[inline(always)]
fn overlay(fixed: &Chunk, market: &Chunk, out: &mut [f32], at: usize, width: usize) {
    let chunk: Chunk = std::array::from_fn(|i| f32::from_bits(fixed[i].to_bits() | market[i].to_bits()));
    match out.get_mut(at..at + CHUNK) {
        Some(out) => out.copy_from_slice(&chunk),
        None => {
            let width = width.min(CHUNK);
            out[at..at + width].copy_from_slice(&chunk[..width]);
        }
    }
}
