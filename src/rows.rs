//! How rows of observations are put together from features.

use std::ops::Range;

use crate::observers::{Feature, Varies, View, week_hour};
use crate::scenario::{Scenario, WEEK};
use crate::seats::Seats;
use crate::shard::Shard;
use crate::simd::{LANES, Vector};

/// How observations are put together: what never changes is written once and for all, and so is what the clock shows in
/// each hour of a week; what else all agents of a market see alike is written once per market. A row is these laid over each
/// other, of which all but one are zero in each column, and then what is the agent's own.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// What never changes, zero elsewhere, (L, F).
    fixed: Vec<f32>,
    /// What the clock shows, zero elsewhere, (hours of a week, F).
    clock: Vec<f32>,
    /// Features that the market's agents see alike, with their first and last column.
    market: Vec<(Feature, usize, usize)>,
    /// Features of the agent's own.
    own: Vec<(Feature, usize, usize)>,
}

impl Template {
    /// Sorts the features of a scenario and writes those that never change, for the agents that act.
    pub fn new(scenario: &Scenario, seats: &Seats) -> Self {
        let width = scenario.width;
        let blank = |rows: usize| vec![0.0; rows * width];
        let (fixed, clock) = (blank(seats.acting().len()), blank(WEEK as usize));
        let mut template = Self { fixed, clock, market: vec![], own: vec![] };
        let any_shard = Shard::new(scenario, 0, 1, 0);
        let view = View::new(scenario, &any_shard, 0);
        let mut at = 0;
        for &(feature, columns) in &scenario.features {
            let end = at + columns;
            match feature.varies() {
                Varies::Episode if !scenario.is_randomised() => {
                    for (row, &agent) in template.fixed.chunks_exact_mut(width).zip(seats.acting()) {
                        feature.write(&view, agent, &mut row[at..end]);
                    }
                }
                Varies::Clock => {
                    for (hour, row) in (0..).zip(template.clock.chunks_exact_mut(width)) {
                        feature.write(&view.at(hour), 0, &mut row[at..end]);
                    }
                }
                Varies::Market => template.market.push((feature, at, end)),
                Varies::Episode | Varies::Agent => template.own.push((feature, at, end)),
            }
            at = end;
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
    let (width, stride) = (scenario.width, seats.acting().len() * scenario.width);
    let mut market_rows = std::mem::take(&mut shard.scratch.market_rows);
    for block in 0..shard.blocks() {
        let rows = block * LANES..shard.rows().min((block + 1) * LANES);
        // All market rows before any is read: a vector loaded right behind the stores of its parts would wait for them.
        write_market_rows(simd, scenario, template, shard, block, &mut market_rows);
        let out = observations[rows.start * stride..rows.end * stride].chunks_exact_mut(stride);
        for (out, market_row) in out.zip(market_rows.chunks_exact(width)) {
            lay_over(&template.fixed, market_row, out);
        }
        if !template.own.is_empty() {
            write_own(scenario, template, seats, shard, rows, observations);
        }
    }
    shard.scratch.market_rows = market_rows;
}

/// Writes what all agents of a market see alike, (8, F), for a block.
#[inline(always)]
fn write_market_rows<V: Vector>(
    simd: V,
    scenario: &Scenario,
    template: &Template,
    shard: &Shard,
    block: usize,
    market_rows: &mut [f32],
) {
    let width = scenario.width;
    let rows = block * LANES..(block + 1) * LANES;
    for (row, market_row) in rows.clone().zip(market_rows.chunks_exact_mut(width)) {
        let hour = week_hour(scenario, shard, row) as usize;
        let clock = &template.clock[hour * width..][..width];
        lay_over(clock, clock, market_row);
    }
    for &(feature, from, to) in &template.market {
        if let Some(column) = feature.of_block(simd, scenario, &shard.heads[block]) {
            for (market_row, x) in market_rows.chunks_exact_mut(width).zip(column) {
                market_row[from] = x;
            }
        } else {
            for (row, market_row) in rows.clone().zip(market_rows.chunks_exact_mut(width)) {
                feature.write(&View::new(scenario, shard, row), 0, &mut market_row[from..to]);
            }
        }
    }
}

/// Writes rows of one length: the bits of each row of `fixed` or of `market`, the same for all, into `out`.
///
/// Rows are short, and so are the pieces in which they are written; a row's last piece may overlap the one before.
#[inline(always)]
fn lay_over(fixed: &[f32], market: &[f32], out: &mut [f32]) {
    match market.len() {
        0 => {}
        1 => two_pieces::<1>(fixed, market, out),
        2..4 => two_pieces::<2>(fixed, market, out),
        4..8 => two_pieces::<4>(fixed, market, out),
        8..16 => two_pieces::<8>(fixed, market, out),
        _ => many_pieces::<8>(fixed, market, out),
    }
}

/// Rows of no more than twice `N`.
#[inline(always)]
fn two_pieces<const N: usize>(fixed: &[f32], market: &[f32], out: &mut [f32]) {
    let width = market.len();
    let (Some(first), Some(last)) = (market.first_chunk::<N>(), market.last_chunk::<N>()) else { return };
    let (first, last) = (*first, *last);
    for (out, fixed) in out.chunks_exact_mut(width).zip(fixed.chunks_exact(width)) {
        if let (Some(out), Some(fixed)) = (out.first_chunk_mut(), fixed.first_chunk()) {
            *out = both(fixed, &first);
        }
        if let (Some(out), Some(fixed)) = (out.last_chunk_mut(), fixed.last_chunk()) {
            *out = both(fixed, &last);
        }
    }
}

#[inline(always)]
fn many_pieces<const N: usize>(fixed: &[f32], market: &[f32], out: &mut [f32]) {
    let width = market.len();
    let (pieces, _) = market.as_chunks::<N>();
    for (out, fixed) in out.chunks_exact_mut(width).zip(fixed.chunks_exact(width)) {
        for (out, (fixed, market)) in out.as_chunks_mut().0.iter_mut().zip(fixed.as_chunks().0.iter().zip(pieces)) {
            *out = both(fixed, market);
        }
        if let (Some(out), Some(fixed), Some(market)) = (out.last_chunk_mut(), fixed.last_chunk(), market.last_chunk())
        {
            *out = both::<N>(fixed, market);
        }
    }
}

#[inline(always)]
fn both<const N: usize>(a: &[f32; N], b: &[f32; N]) -> [f32; N] {
    let mut bits = [0.0; N];
    for i in 0..N {
        bits[i] = f32::from_bits(a[i].to_bits() | b[i].to_bits());
    }
    bits
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
