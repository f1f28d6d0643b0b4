//! How rows of observations are put together from features.

use std::ops::Range;

use crate::observers::{Feature, Varies, View};
use crate::scenario::{Scenario, WEEK};
use crate::seats::Seats;
use crate::shard::Shard;
use crate::simd::LANES;

/// Floats that are written at once.
const CHUNK: usize = 8;
type Chunk = [f32; CHUNK];

/// How observations are put together: what never changes is written once and for all, and so is what the clock shows in
/// each hour of a week; what else all agents of a market see alike is written once per market. A row is these laid over each
/// other, and then what is the agent's own.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// Chunks of one row: F rounded up.
    chunks: usize,
    /// What never changes, zero elsewhere, (L, chunks).
    fixed: Vec<Chunk>,
    /// What the clock shows, zero elsewhere, (hours of a week, chunks).
    clock: Vec<Chunk>,
    /// Features that the market's agents see alike, with their first and last column.
    market: Vec<(Feature, usize, usize)>,
    /// Features of the agent's own.
    own: Vec<(Feature, usize, usize)>,
}

impl Template {
    /// Sorts the features of a scenario and writes those that never change, for the agents that act.
    pub fn new(scenario: &Scenario, seats: &Seats) -> Self {
        let chunks = scenario.width.div_ceil(CHUNK);
        let blank = |rows: usize| vec![[0.0; CHUNK]; rows * chunks];
        let (fixed, clock) = (blank(seats.acting().len()), blank(WEEK as usize));
        let mut template = Self { chunks, fixed, clock, market: vec![], own: vec![] };
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
                Varies::Clock => {
                    for (hour, row) in (0..).zip(template.clock.chunks_exact_mut(chunks)) {
                        feature.write(&view.at(hour), 0, &mut row.as_flattened_mut()[at..at + width]);
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

/// Writes the observations of a whole shard, (S, L, F), for the acting agents.
#[inline(always)]
pub fn observe(
    scenario: &Scenario,
    template: &Template,
    seats: &Seats,
    shard: &mut Shard,
    observations: &mut [f32],
) {
    for first in (0..shard.rows()).step_by(LANES) {
        let rows = first..shard.rows().min(first + LANES);
        observe_rows(scenario, template, seats, shard, rows, observations);
    }
}

/// Writes the observations of one row of a shard.
pub fn observe_row(
    scenario: &Scenario,
    template: &Template,
    seats: &Seats,
    shard: &mut Shard,
    row: usize,
    observations: &mut [f32],
) {
    let end = (row + 1) * seats.acting().len() * scenario.width;
    observe_rows(scenario, template, seats, shard, row..row + 1, &mut observations[..end]);
}

/// Writes the observations of no more than eight rows; nothing behind them in `observations` is kept.
#[inline(always)]
fn observe_rows(
    scenario: &Scenario,
    template: &Template,
    seats: &Seats,
    shard: &mut Shard,
    rows: Range<usize>,
    observations: &mut [f32],
) {
    let (width, acting, chunks) = (scenario.width, seats.acting(), template.chunks);
    let mut market_rows = std::mem::take(&mut shard.scratch.market_rows);
    market_rows.resize(LANES * chunks, [0.0; CHUNK]);
    // All market rows before any is read: a vector loaded right behind the stores of its parts would wait for them.
    for (row, market_row) in rows.clone().zip(market_rows.chunks_exact_mut(chunks)) {
        let market = View::new(scenario, shard, row);
        let clock = &template.clock[market.week_hour() as usize * chunks..][..chunks];
        for (chunk, clock) in market_row.iter_mut().zip(clock) {
            *chunk = *clock;
        }
        for &(feature, from, to) in &template.market {
            feature.write(&market, 0, &mut market_row.as_flattened_mut()[from..to]);
        }
    }
    let mut at = rows.start * acting.len() * width;
    for (_, market_row) in rows.clone().zip(market_rows.chunks_exact(chunks)) {
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
        for row in rows {
            let market = View::new(scenario, shard, row);
            let out = observations[row * acting.len() * width..].chunks_exact_mut(width);
            for (out, &agent) in out.zip(acting) {
                for &(feature, from, to) in &template.own {
                    feature.write(&market, agent, &mut out[from..to]);
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
    if let Some(out) = out.get_mut(at..at + CHUNK).and_then(|out| out.first_chunk_mut()) {
        *out = chunk;
    } else {
        last(&mut out[at..], &chunk, width);
    }
}

/// Out of line, so that whole chunks are one store and no call.
#[cold]
#[inline(never)]
fn last(out: &mut [f32], chunk: &Chunk, width: usize) {
    let width = width.min(CHUNK);
    out[..width].copy_from_slice(&chunk[..width]);
}
