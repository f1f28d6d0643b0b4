//! The order of one step: bids, clearing, settlement, reward, clock, observation.

use crate::bidding;
use crate::clearing;
use crate::rewards;
use crate::rows::{self, Template};
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::series;
use crate::settle;
use crate::shard::Shard;
use crate::simd::{LANES, Lanes};
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
    /// Episodes are cut after so many steps, if set.
    pub limit: Option<u32>,
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
    /// (S, L, 2), finite.
    pub actions: &'a [f32],
    /// The caller's buffers.
    pub out: &'a mut Outputs<'b>,
}

impl pulp::WithSimd for Step<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        step(simd, self.game, self.autoreset, self.shard, self.actions, self.out);
    }
}

/// One step of every environment of a shard. `actions` is (S, L, 2), finite.
#[inline(always)]
pub fn step<S: pulp::Simd>(
    simd: S,
    game: &Game<'_>,
    autoreset: Autoreset,
    shard: &mut Shard,
    actions: &[f32],
    out: &mut Outputs<'_>,
) {
    let Game { scenario, template, seats, .. } = *game;
    // Finished rows are stepped with the others, which does no harm, and then reset: no stage needs a mask.
    let resetting = shard.state.finished.contains(&true);
    if resetting {
        shard.scratch.resetting.copy_from_slice(&shard.state.finished);
    }

    bidding::offer(scenario, seats, shard, actions);
    clearing::clear_shard(simd, scenario, shard);
    settle_and_reward(game, shard, out);
    clock(game, shard, out);
    if resetting {
        for row in 0..shard.rows() {
            if shard.scratch.resetting[row] {
                reset(game, shard, row, None, None, out);
            }
        }
    }
    rows::observe(scenario, template, seats, shard, 0..shard.rows(), out.observations);

    if autoreset == Autoreset::SameStep && shard.state.finished.contains(&true) {
        reset_at_once(game, shard, out);
    }
}

/// Starts the next episode of one environment, all but its observation.
pub fn reset(
    game: &Game<'_>,
    shard: &mut Shard,
    row: usize,
    seed: Option<u64>,
    start: Option<u32>,
    out: &mut Outputs<'_>,
) {
    begin_episode(game.scenario, shard, row, seed, start);
    let (agents, acting) = (game.scenario.agents(), game.seats.acting().len());
    out.rewards[row * acting..][..acting].fill(0.0);
    out.dispatch[row * agents..][..agents].fill(0.0);
    out.profits[row * agents..][..agents].fill(0.0);
    out.terminated[row] = false;
    out.truncated[row] = false;
    out.prices[row] = 0.0;
    out.unserved[row] = 0.0;
    out.demand[row] = shard.state.demand[row / LANES][row % LANES];
}

/// Keeps the true last observations of finished environments apart and starts their next episodes.
#[inline(never)]
fn reset_at_once(game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let Game { scenario, template, seats, .. } = *game;
    let size = seats.acting().len() * scenario.width;
    for row in 0..shard.rows() {
        if shard.state.finished[row] {
            let cells = row * size..(row + 1) * size;
            out.final_observations[cells.clone()].copy_from_slice(&out.observations[cells]);
            begin_episode(scenario, shard, row, None, None);
            rows::observe(scenario, template, seats, shard, row..row + 1, out.observations);
        }
    }
}

/// Starts the next episode of one environment: episode 0 when it has none yet or gets a seed.
fn begin_episode(scenario: &Scenario, shard: &mut Shard, row: usize, seed: Option<u64>, start: Option<u32>) {
    let (block, lane) = (row / LANES, row % LANES);
    let state = &mut shard.state;
    if let Some(seed) = seed {
        state.seed[row] = seed;
        state.episode[row] = 0;
    } else if state.started[row] {
        state.episode[row] += 1;
    }
    state.started[row] = true;
    state.finished[row] = false;
    state.t[row] = 0;
    state.price[block][lane] = 0.0;
    state.unserved[block][lane] = 0.0;
    let agents = scenario.agents();
    for cells in [&mut state.offer_price, &mut state.offer_quantity, &mut state.dispatch] {
        for lanes in &mut cells[block * agents..][..agents] {
            lanes[lane] = 0.0;
        }
    }
    shard.draw_numbers(scenario, row);
    shard.state.start[row] = start.unwrap_or_else(|| series::start(scenario, shard.streams(row)));
    shard.state.demand[block][lane] = series::demand_of_row(scenario, shard, row);
}

/// Settles block by block and publishes what every agent's step came to.
#[inline(always)]
fn settle_and_reward(game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let Game { scenario, seats, .. } = *game;
    let (agents, acting) = (scenario.agents(), seats.acting().len());
    let mut profits = std::mem::take(&mut shard.scratch.profit);
    for block in 0..shard.blocks() {
        settle::settle(scenario, shard, block, &mut profits);
        let rows = block * LANES..shard.rows().min((block + 1) * LANES);
        let rewards = &mut out.rewards[rows.start * acting..rows.end * acting];
        rewards::reward(scenario, seats, shard, block, &profits, rewards);
        let dispatch = &shard.state.dispatch[block * agents..][..agents];
        publish(&profits, &mut out.profits[rows.start * agents..rows.end * agents]);
        publish(dispatch, &mut out.dispatch[rows.start * agents..rows.end * agents]);
    }
    shard.scratch.profit = profits;
}

/// Lanes of a block, (A,), become rows, (rows, A).
#[inline(always)]
fn publish(lanes: &[Lanes], rows: &mut [f64]) {
    let agents = lanes.len();
    if rows.len() == LANES * agents {
        // Whole blocks agent by agent: eight stores a turn, without a branch.
        for (agent, lanes) in lanes.iter().enumerate() {
            for (l, x) in lanes.iter().enumerate() {
                rows[l * agents + agent] = *x;
            }
        }
        return;
    }
    for (l, row) in rows.chunks_exact_mut(agents).enumerate() {
        for (x, lanes) in row.iter_mut().zip(lanes) {
            *x = lanes[l];
        }
    }
}

/// Publishes what the markets came to and moves on by one hour.
#[inline(always)]
fn clock(game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let scenario = game.scenario;
    let rows = shard.rows();
    let state = &mut shard.state;
    out.prices.copy_from_slice(&state.price.as_flattened()[..rows]);
    out.demand.copy_from_slice(&state.demand.as_flattened()[..rows]);
    out.unserved.copy_from_slice(&state.unserved.as_flattened()[..rows]);
    for row in 0..rows {
        let t = state.t[row] + 1;
        let ended = t >= scenario.horizon;
        let cut = game.limit.is_some_and(|limit| t >= limit);
        state.t[row] = t;
        out.terminated[row] = ended && scenario.episode_end == EpisodeEnd::Terminate;
        out.truncated[row] = cut || (ended && scenario.episode_end == EpisodeEnd::Truncate);
        state.finished[row] = ended || cut;
    }
    for block in 0..shard.blocks() {
        shard.state.demand[block] = series::demand(scenario, shard, block);
    }
}
