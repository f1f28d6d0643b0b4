//! How rows of observations are put together from features.

use std::ops::Range;

use crate::observers::{Feature, Varies, View, week_hour};
use crate::scenario::{Scenario, WEEK};
use crate::shard::Shard;
use crate::simd::{LANES, Vector};

/// How observations are put together: what never changes is written once and for all, and so is what the clock shows in
/// each hour of a week; what else all agents of a market see alike is written once per market. A row is these laid over each
/// other, of which all but one are zero in each column, and then what is the agent's own.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// Who sees the rows: L agents' places.
    agents: Vec<usize>,
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
    /// Sorts the features of a scenario and writes those that never change, for the agents at these places.
    pub fn new(scenario: &Scenario, agents: &[usize]) -> Self {
        let width = scenario.width;
        let blank = |rows: usize| vec![0.0; rows * width];
        let (fixed, clock) = (blank(agents.len()), blank(WEEK as usize));
        let mut template = Self { agents: agents.to_vec(), fixed, clock, market: vec![], own: vec![] };
        let any_shard = Shard::new(scenario, 0, 1, 0);
        let view = View::new(scenario, &any_shard, 0);
        let mut at = 0;
        for &(feature, columns) in &scenario.features {
            let end = at + columns;
            match feature.varies() {
                Varies::Episode if !scenario.is_randomised() => {
                    for (row, &agent) in template.fixed.chunks_exact_mut(width).zip(agents) {
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

/// Writes the observations of a whole shard, (S, L, F), for the agents of a template.
#[inline(always)]
pub fn observe<V: Vector>(
    simd: V,
    scenario: &Scenario,
    template: &Template,
    shard: &mut Shard,
    observations: &mut [f32],
) {
    let stride = template.agents.len() * scenario.width;
    let mut market_rows = std::mem::take(&mut shard.scratch.market_rows);
    for block in 0..shard.blocks() {
        let rows = block * LANES..shard.rows().min((block + 1) * LANES);
        write_market_rows(simd, scenario, template, shard, block, &mut market_rows);
        let out = &mut observations[rows.start * stride..rows.end * stride];
        lay_over(scenario.width, &template.fixed, &market_rows, out);
        if !template.own.is_empty() {
            write_own(scenario, template, shard, rows, observations);
        }
    }
    shard.scratch.market_rows = market_rows;
}

/// Writes what all agents of a market see alike, (8, F), for a block.
///
/// All rows of a block are written before any is read again: a vector loaded right behind the stores of its parts would
/// wait for them.
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
    let head = &shard.heads[block];
    let mut hours = [0; LANES];
    for l in 0..LANES {
        hours[l] = week_hour(scenario, head.start[l], head.t[l]) as usize;
    }
    for (hour, market_row) in hours.iter().zip(market_rows.chunks_exact_mut(width)) {
        copy(&template.clock[hour * width..][..width], market_row);
    }
    for &(feature, from, to) in &template.market {
        if let Some(column) = feature.of_block(simd, scenario, head) {
            for (l, x) in column.into_iter().enumerate() {
                market_rows[l * width + from] = x;
            }
        } else {
            for (row, market_row) in (block * LANES..).zip(market_rows.chunks_exact_mut(width)) {
                feature.write(&View::new(scenario, shard, row), 0, &mut market_row[from..to]);
            }
        }
    }
}

/// Writes rows: the bits of each row of `fixed` and of each row of `market`, all of the one with all of the other, into
/// `out`. Rows are `width` long.
///
/// They are short, and so are the pieces in which they are written; a row's last piece may overlap the one before.
#[inline(always)]
fn lay_over(width: usize, fixed: &[f32], market: &[f32], out: &mut [f32]) {
    match width {
        0 => {}
        1 => two_pieces::<1>(width, fixed, market, out),
        2..4 => two_pieces::<2>(width, fixed, market, out),
        4..8 => two_pieces::<4>(width, fixed, market, out),
        8..16 => two_pieces::<8>(width, fixed, market, out),
        _ => many_pieces::<8>(width, fixed, market, out),
    }
}

/// Rows of no more than twice `N`.
#[inline(always)]
fn two_pieces<const N: usize>(width: usize, fixed: &[f32], market: &[f32], out: &mut [f32]) {
    let rows = fixed.chunks_exact(width);
    for (market, out) in market.chunks_exact(width).zip(out.chunks_exact_mut(fixed.len())) {
        let (first, last) = (piece::<N>(market, 0), piece::<N>(market, width - N));
        for (out, fixed) in out.chunks_exact_mut(width).zip(rows.clone()) {
            put(out, 0, both(piece(fixed, 0), first));
            put(out, width - N, both(piece(fixed, width - N), last));
        }
    }
}

#[inline(always)]
fn many_pieces<const N: usize>(width: usize, fixed: &[f32], market: &[f32], out: &mut [f32]) {
    let rows = fixed.chunks_exact(width);
    for (market, out) in market.chunks_exact(width).zip(out.chunks_exact_mut(fixed.len())) {
        for (out, fixed) in out.chunks_exact_mut(width).zip(rows.clone()) {
            for at in (0..width - N).step_by(N).chain([width - N]) {
                put(out, at, both(piece::<N>(fixed, at), piece(market, at)));
            }
        }
    }
}

/// Copies a row that is too short for a call.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let width = from.len();
    match width {
        4..8 => {
            put(to, 0, piece::<4>(from, 0));
            put(to, width - 4, piece::<4>(from, width - 4));
        }
        8..16 => {
            put(to, 0, piece::<8>(from, 0));
            put(to, width - 8, piece::<8>(from, width - 8));
        }
        _ => to.copy_from_slice(from),
    }
}

/// The piece of a row that starts at `at`; the row is long enough.
#[inline(always)]
fn piece<const N: usize>(row: &[f32], at: usize) -> [f32; N] {
    row[at..].first_chunk().copied().unwrap_or([0.0; N])
}

#[inline(always)]
fn put<const N: usize>(row: &mut [f32], at: usize, piece: [f32; N]) {
    if let Some(place) = row[at..].first_chunk_mut() {
        *place = piece;
    }
}

#[inline(always)]
fn both<const N: usize>(a: [f32; N], b: [f32; N]) -> [f32; N] {
    let mut bits = [0.0; N];
    for i in 0..N {
        bits[i] = f32::from_bits(a[i].to_bits() | b[i].to_bits());
    }
    bits
}

/// Writes what is each agent's own.
#[inline(never)]
fn write_own(scenario: &Scenario, template: &Template, shard: &Shard, rows: Range<usize>, observations: &mut [f32]) {
    let (width, agents) = (scenario.width, &template.agents);
    for row in rows {
        let market = View::new(scenario, shard, row);
        let out = observations[row * agents.len() * width..].chunks_exact_mut(width);
        for (out, &agent) in out.zip(agents) {
            for &(feature, from, to) in &template.own {
                feature.write(&market, agent, &mut out[from..to]);
            }
        }
    }
}
