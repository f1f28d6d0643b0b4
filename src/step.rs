//! The order of one step: bids, clearing, settlement, reward, clock, observation.

use std::ops::Range;

use crate::ahead::Ahead;
use crate::bidding::{self, Bids};
use crate::clearing;
use crate::numbers::{Number, WithNumbers};
use crate::publish;
use crate::rewards;
use crate::rivals::Rivals;
use crate::rows::{self, Template};
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::series;
use crate::settle;
use crate::shard::{Block, Head, Shard, Working};
use crate::simd::{LANES, Vector, Work};
use crate::spec::{EpisodeEnd, named};

named! {
    /// Who starts the next episode, and when.
    Autoreset {
        /// The caller; stepping a finished environment is refused.
        Disabled = "disabled",
        /// The step after the last one resets instead of stepping.
        NextStep = "next_step",
        /// The last step resets at once and keeps the true last observation apart.
        SameStep = "same_step",
    }
}

/// What a step needs to know beside the state.
#[derive(Debug, Clone, Copy)]
pub struct Game<'a> {
    /// The compiled scenario.
    pub scenario: &'a Scenario,
    /// How observations are put together.
    pub template: &'a Template,
    /// Who plays whom.
    pub seats: &'a Seats,
    /// The mixtures among them, if there are any.
    pub rivals: Option<&'a Rivals>,
    /// Episodes are cut after so many steps, if set.
    pub limit: Option<u32>,
    /// A step writes more than the caches hold.
    pub large: bool,
}

/// The caller's buffers for some rows. S rows, A agents, L acting agents, F features.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// (S, L, F).
    pub observations: &'a mut [f32],
    /// (S, L, F); written where an episode ends under [`Autoreset::SameStep`].
    pub final_observations: &'a mut [f32],
    /// (S, L).
    pub rewards: &'a mut [f32],
    /// (S,).
    pub terminated: &'a mut [bool],
    /// (S,).
    pub truncated: &'a mut [bool],
    /// Clearing prices, $/MWh, (S,).
    pub prices: &'a mut [f64],
    /// Demand just cleared, MW, (S,); the first demand after a reset.
    pub demand: &'a mut [f64],
    /// Unserved energy, MWh, (S,).
    pub unserved: &'a mut [f64],
    /// MW, (S, A).
    pub dispatch: &'a mut [f64],
    /// $, (S, A).
    pub profits: &'a mut [f64],
}

/// One step of a shard, to be run at a level of vector instructions.
pub struct Step<'a, 'b> {
    /// What a step needs to know.
    pub game: &'a Game<'a>,
    /// Who starts the next episode.
    pub autoreset: Autoreset,
    /// The environments.
    pub shard: &'a mut Shard,
    /// What everybody bids.
    pub bids: Bids<'a>,
    /// The caller's buffers.
    pub out: &'a mut Outputs<'b>,
}

/// Starts new episodes in a shard, to be run at a level of vector instructions.
pub struct Reset<'a, 'b> {
    /// What a step needs to know.
    pub game: &'a Game<'a>,
    /// What to reset, of the whole batch.
    pub resets: Resets<'a>,
    /// The environments.
    pub shard: &'a mut Shard,
    /// The caller's buffers.
    pub out: &'a mut Outputs<'b>,
}

/// Writes every observation of a shard anew, to be run at a level of vector instructions: they follow from the state, and
/// an environment that was never reset has none.
pub struct Observe<'a, 'b> {
    /// What a step needs to know.
    pub game: &'a Game<'a>,
    /// The environments.
    pub shard: &'a mut Shard,
    /// The caller's buffers.
    pub out: &'a mut Outputs<'b>,
}

impl Work for Observe<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Game { scenario, template, seats, .. } = *self.game;
        rows::observe(simd, scenario, template, self.shard, self.out.observations);
        let size = seats.acting().len() * scenario.width;
        for row in 0..self.shard.rows() {
            let (head, lane) = self.shard.head(row);
            if !head.started[lane] {
                self.out.observations[row * size..][..size].fill(0.0);
            }
        }
    }
}

/// What to reset.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resets<'a> {
    /// A new seed per environment, or None to go on, (N,); None for all to go on.
    pub seeds: Option<&'a [Option<u64>]>,
    /// Environments to reset, (N,); None for all.
    pub mask: Option<&'a [bool]>,
    /// Hour of the series at which to start, (N,); None to choose as the scenario says.
    pub starts: Option<&'a [i64]>,
}

impl Work for Reset<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { game, resets, shard, out } = self;
        let first = shard.first;
        let mut any = false;
        for row in 0..shard.rows() {
            let reset = resets.mask.is_none_or(|mask| mask[first + row]);
            shard.scratch.resetting[row / LANES][row % LANES] = reset;
            any |= reset;
        }
        if !any {
            return;
        }
        let given = |row| {
            let env = first + row;
            (resets.seeds.and_then(|seeds| seeds[env]), resets.starts.map(|starts| starts[env] as u32))
        };
        reset(simd, game, shard, given, out);
        Observe { game, shard, out }.run(simd);
    }
}

impl Work for Step<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        step(simd, self.game, self.autoreset, self.shard, self.bids, self.out);
    }
}

/// One step of every environment of a shard.
#[inline(always)]
pub fn step<V: Vector>(
    simd: V,
    game: &Game<'_>,
    autoreset: Autoreset,
    shard: &mut Shard,
    bids: Bids<'_>,
    out: &mut Outputs<'_>,
) {
    let Game { scenario, template, seats, .. } = *game;
    // Finished rows are stepped with the others, which does no harm, and then reset: no stage needs a mask.
    let resetting = mark_finished(shard);

    for block in 0..shard.blocks() {
        let rows = block * LANES..shard.rows().min((block + 1) * LANES);
        let bids = bids.from_block(block, seats.acting().len());
        let (state, numbers, scratch) = shard.block(block);
        numbers.with(simd, block, Play { game, block: state, scratch, bids, rows, out });
    }
    if resetting {
        reset(simd, game, shard, |_| (None, None), out);
    }
    rows::observe(simd, scenario, template, shard, out.observations);

    if autoreset == Autoreset::SameStep && mark_finished(shard) {
        reset_at_once(simd, game, shard, out);
    }
}

/// The step of one block: all but the observation.
struct Play<'a, 'b> {
    game: &'a Game<'a>,
    block: Block<'a>,
    scratch: &'a mut Working,
    /// From the block's first row on.
    bids: Bids<'a>,
    /// The block's rows in the shard.
    rows: Range<usize>,
    out: &'a mut Outputs<'b>,
}

impl<V: Vector> WithNumbers<V> for Play<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<N: Number>(self, simd: V, numbers: &[N]) {
        let Self { game, mut block, scratch, bids, rows, out } = self;
        let scenario = game.scenario;
        let ahead = if game.large { ahead(game, &rows, out) } else { Ahead::nothing() };
        bidding::offer(simd, scenario, game.seats, numbers, &mut block, bids, ahead);
        clearing::clear(simd, scenario, numbers, &mut block, scratch);
        settle::settle(simd, scenario, numbers, &block, &mut scratch.profits);
        rewards::reward(simd, scenario, game.seats, numbers, &block, scratch);
        publish(simd, &block, scratch, rows.clone(), out);
        clock(game, &mut block, rows, out);
        let demand = series::demand(simd, scenario, numbers, block.head);
        simd.store(demand, &mut block.head.demand);
    }
}

/// What a block is about to write.
#[inline(always)]
fn ahead(game: &Game<'_>, rows: &Range<usize>, out: &Outputs<'_>) -> Ahead {
    let (agents, acting) = (game.scenario.agents(), game.seats.acting().len());
    let (seen, Range { start, end }) = (acting * game.scenario.width, rows);
    let short = [&out.observations[start * seen..end * seen], &out.rewards[start * acting..end * acting]];
    let long = [&out.dispatch[start * agents..end * agents], &out.profits[start * agents..end * agents]];
    Ahead::new(agents, short, long)
}

/// Marks the finished environments for a reset and tells whether there are any.
#[inline(always)]
fn mark_finished(shard: &mut Shard) -> bool {
    let mut any = false;
    for (resetting, head) in shard.scratch.resetting.iter_mut().zip(&shard.heads) {
        *resetting = head.finished;
        any |= head.finished != [false; LANES];
    }
    any
}

/// Starts the episodes of the environments that `scratch.resetting` marks, all but their observations. `given` names the
/// new seed and the hour of the series at which to start, of each row, where they are given.
#[inline(always)]
fn reset<V: Vector>(
    simd: V,
    game: &Game<'_>,
    shard: &mut Shard,
    given: impl Fn(usize) -> (Option<u64>, Option<u32>),
    out: &mut Outputs<'_>,
) {
    begin_episodes(simd, game.scenario, shard, given);
    let (agents, acting) = (game.scenario.agents(), game.seats.acting().len());
    for row in 0..shard.rows() {
        let (head, lane) = shard.head(row);
        if shard.scratch.resetting[row / LANES][lane] {
            out.rewards[row * acting..][..acting].fill(0.0);
            out.dispatch[row * agents..][..agents].fill(0.0);
            out.profits[row * agents..][..agents].fill(0.0);
            out.terminated[row] = false;
            out.truncated[row] = false;
            out.prices[row] = 0.0;
            out.unserved[row] = 0.0;
            out.demand[row] = head.demand[lane];
        }
    }
}

/// Keeps the true last observations of the marked environments apart and starts their next episodes.
#[inline(always)]
fn reset_at_once<V: Vector>(simd: V, game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let Game { scenario, template, seats, .. } = *game;
    let size = seats.acting().len() * scenario.width;
    for row in 0..shard.rows() {
        if shard.scratch.resetting[row / LANES][row % LANES] {
            let cells = row * size..(row + 1) * size;
            out.final_observations[cells.clone()].copy_from_slice(&out.observations[cells]);
        }
    }
    begin_episodes(simd, scenario, shard, |_| (None, None));
    rows::observe(simd, scenario, template, shard, out.observations);
}

/// Starts the next episode of each marked environment: episode 0 where it has none yet or gets a seed.
#[inline(always)]
fn begin_episodes<V: Vector>(
    simd: V,
    scenario: &Scenario,
    shard: &mut Shard,
    given: impl Fn(usize) -> (Option<u64>, Option<u32>),
) {
    for row in 0..shard.rows() {
        let (block, lane) = (row / LANES, row % LANES);
        if !shard.scratch.resetting[block][lane] {
            continue;
        }
        let (seed, start) = given(row);
        let head = &mut shard.heads[block];
        if let Some(seed) = seed {
            head.seed[lane] = seed;
            head.episode[lane] = 0;
        } else if head.started[lane] {
            head.episode[lane] += 1;
        }
        head.started[lane] = true;
        head.finished[lane] = false;
        head.t[lane] = 0;
        shard.draw_numbers(scenario, row);
        shard.heads[block].start[lane] = start.unwrap_or_else(|| series::start(scenario, shard.streams(row)));
    }
    for block in 0..shard.blocks() {
        if shard.scratch.resetting[block] != [false; LANES] {
            shard.forget_last_step(block);
            // Demand follows from seed, episode and step, so that lanes that were not reset may draw theirs again.
            let (state, numbers, _) = shard.block(block);
            numbers.with(simd, block, DrawDemand { scenario, head: state.head });
        }
    }
}

/// Draws the demand that the next step of a block clears.
struct DrawDemand<'a> {
    scenario: &'a Scenario,
    head: &'a mut Head,
}

impl<V: Vector> WithNumbers<V> for DrawDemand<'_> {
    type Output = ();

    #[inline(always)]
    fn run<N: Number>(self, simd: V, numbers: &[N]) {
        let demand = series::demand(simd, self.scenario, numbers, self.head);
        simd.store(demand, &mut self.head.demand);
    }
}

/// Writes what a block's step came to into the caller's buffers.
#[inline(always)]
fn publish<V: Vector>(simd: V, block: &Block<'_>, scratch: &Working, rows: Range<usize>, out: &mut Outputs<'_>) {
    let (agents, acting) = (block.dispatch.len(), scratch.rewards.len());
    let cells = rows.start * agents..rows.end * agents;
    publish::agents(simd, &*block.dispatch, &mut out.dispatch[cells.clone()]);
    publish::agents(simd, scratch.profits.as_slice(), &mut out.profits[cells]);
    publish::agents(simd, scratch.rewards.as_slice(), &mut out.rewards[rows.start * acting..rows.end * acting]);
    publish::market(&block.head.price.0, &mut out.prices[rows.clone()]);
    publish::market(&block.head.demand.0, &mut out.demand[rows.clone()]);
    publish::market(&block.head.unserved.0, &mut out.unserved[rows]);
}

/// Moves on by one hour.
#[inline(always)]
fn clock(game: &Game<'_>, block: &mut Block<'_>, rows: Range<usize>, out: &mut Outputs<'_>) {
    let scenario = game.scenario;
    let (terminates, truncates) =
        (scenario.episode_end == EpisodeEnd::Terminate, scenario.episode_end == EpisodeEnd::Truncate);
    let limit = game.limit.unwrap_or(u32::MAX);
    let head = &mut *block.head;
    let mut latest = 0;
    for l in 0..LANES {
        // Lanes to spare count for ever.
        head.t[l] = head.t[l].wrapping_add(1);
        latest = latest.max(head.t[l]);
    }
    let (mut terminated, mut truncated) = ([false; LANES], [false; LANES]);
    head.finished = [false; LANES];
    if latest >= limit.min(scenario.horizon) {
        for l in 0..LANES {
            let (ended, cut) = (head.t[l] >= scenario.horizon, head.t[l] >= limit);
            terminated[l] = ended & terminates;
            truncated[l] = cut | (ended & truncates);
            head.finished[l] = ended | cut;
        }
    }
    // Lanes to spare never finish.
    head.finished[rows.len()..].fill(false);
    publish::market(&terminated, &mut out.terminated[rows.clone()]);
    publish::market(&truncated, &mut out.truncated[rows]);
}
