//! How rows of observations are put together from features.

use std::ops::Range;

use crate::observers::{Feature, Varies, View, week_hour};
use crate::scenario::{Scenario, WEEK};
use crate::seats::Seats;
use crate::shard::Shard;
use crate::simd::{LANES, Vector};

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
pub fn observe<V: Vector>(
    simd: V,
    scenario: &Scenario,
    template: &Template,
    seats: &Seats,
    shard: &mut Shard,
    observations: &mut [f32],
) {
    let stride = seats.acting().len() * scenario.width;
    let mut market_rows = std::mem::take(&mut shard.scratch.market_rows);
    market_rows.resize(LANES * template.chunks, [0.0; CHUNK]);
    for block in 0..shard.blocks() {
        let rows = block * LANES..shard.rows().min((block + 1) * LANES);
        // All market rows before any is read: a vector loaded right behind the stores of its parts would wait for them.
        write_market_rows(simd, scenario, template, shard, block, &mut market_rows);
        let out = &mut observations[rows.start * stride..];
        lay_over(template, scenario.width, &market_rows[..rows.len() * template.chunks], out);
        if !template.own.is_empty() {
            write_own(scenario, template, seats, shard, rows, observations);
        }
    }
    shard.scratch.market_rows = market_rows;
}

/// Writes what all agents of a market see alike, (8, chunks), for a block.
#[inline(always)]
fn write_market_rows<V: Vector>(
    simd: V,
    scenario: &Scenario,
    template: &Template,
    shard: &Shard,
    block: usize,
    market_rows: &mut [Chunk],
) {
    let chunks = template.chunks;
    for (row, market_row) in (block * LANES..).zip(market_rows.chunks_exact_mut(chunks)) {
        let hour = week_hour(scenario, shard, row) as usize;
        for (chunk, clock) in market_row.iter_mut().zip(&template.clock[hour * chunks..]) {
            *chunk = *clock;
        }
    }
    for &(feature, from, to) in &template.market {
        if let Some(column) = feature.of_block(simd, scenario, shard, block) {
            for (market_row, x) in market_rows.chunks_exact_mut(chunks).zip(column) {
                market_row[from / CHUNK][from % CHUNK] = x;
            }
        } else {
            for (row, market_row) in (block * LANES..).zip(market_rows.chunks_exact_mut(chunks)) {
                let market = View::new(scenario, shard, row);
                feature.write(&market, 0, &mut market_row.as_flattened_mut()[from..to]);
            }
        }
    }
}

/// Writes the rows of some markets: what never changes and what the market's agents see alike laid over each other, one of
/// which is zero in each column.
///
/// A row's last chunk is written whole, since the next row overwrites what is too much.
#[inline(always)]
fn lay_over(template: &Template, width: usize, market_rows: &[Chunk], out: &mut [f32]) {
    let chunks = template.chunks;
    let mut at = 0;
    if chunks == 1 {
        for market in market_rows {
            for fixed in &template.fixed {
                overlay(fixed, market, &mut out[at..], width);
                at += width;
            }
        }
        return;
    }
    for market_row in market_rows.chunks_exact(chunks) {
        for fixed_row in template.fixed.chunks_exact(chunks) {
            for (c, (fixed, market)) in fixed_row.iter().zip(market_row).enumerate() {
                overlay(fixed, market, &mut out[at + c * CHUNK..], width - c * CHUNK);
            }
            at += width;
        }
    }
}

/// Writes two chunks laid over each other where there is room for all of it, else no more than `width` floats.
#[inline(always)]
fn overlay(fixed: &Chunk, market: &Chunk, out: &mut [f32], width: usize) {
    if let Some(out) = out.first_chunk_mut() {
        *out = both(fixed, market);
    } else {
        overlay_part(fixed, market, out, width);
    }
}

#[inline(always)]
fn both(fixed: &Chunk, market: &Chunk) -> Chunk {
    let mut chunk = [0.0; CHUNK];
    for i in 0..CHUNK {
        chunk[i] = f32::from_bits(fixed[i].to_bits() | market[i].to_bits());
    }
    chunk
}

/// At the end of the buffer.
#[cold]
#[inline(never)]
fn overlay_part(fixed: &Chunk, market: &Chunk, out: &mut [f32], width: usize) {
    let width = width.min(CHUNK);
    out[..width].copy_from_slice(&both(fixed, market)[..width]);
}

/// Writes what is each agent's own.
#[inline(never)]
fn write_own(
    scenario: &Scenario,
    template: &Template,
    seats: &Seats,
    shard: &Shard,
    rows: Range<usize>,
    observations: &mut [f32],
) {
    let (width, acting) = (scenario.width, seats.acting());
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
