//! The order of one step: bids, clearing, settlement, reward, clock, observation.

use crate::bidding;
use crate::clearing;
use crate::observers;
use crate::rewards;
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::series;
use crate::settle;
use crate::shard::Shard;
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

/// One step of every environment of a shard. `actions` is (S, L, 2), finite.
pub fn step(game: &Game<'_>, autoreset: Autoreset, shard: &mut Shard, actions: &[f32], out: &mut Outputs<'_>) {
    let Game { scenario, seats, .. } = *game;
    // Finished rows are stepped with the others, which does no harm, and then reset: no stage needs a mask.
    shard.scratch.resetting.copy_from_slice(&shard.state.finished);

    bidding::offer(scenario, seats, shard, actions);
    clearing::clear_shard(scenario, shard);
    settle::settle(scenario, shard, out.profits);
    rewards::reward(scenario, seats, shard, out.profits, out.rewards);
    clock(game, shard, out);
    for row in 0..shard.rows() {
        if shard.scratch.resetting[row] {
            reset(game, shard, row, None, None, out);
        }
    }
    observers::observe(scenario, seats, shard, 0..shard.rows(), out.observations);

    if autoreset == Autoreset::SameStep {
        for row in 0..shard.rows() {
            if shard.state.finished[row] {
                let size = seats.acting().len() * scenario.width;
                let cells = row * size..(row + 1) * size;
                out.final_observations[cells.clone()].copy_from_slice(&out.observations[cells]);
                begin_episode(scenario, shard, row, None, None);
                observers::observe(scenario, seats, shard, row..row + 1, out.observations);
            }
        }
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
    out.demand[row] = shard.state.demand[row];
}

/// Starts the next episode of one environment: episode 0 when it has none yet or gets a seed.
fn begin_episode(scenario: &Scenario, shard: &mut Shard, row: usize, seed: Option<u64>, start: Option<u32>) {
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
    state.price[row] = 0.0;
    state.unserved[row] = 0.0;
    let agents = scenario.agents();
    for cells in [&mut state.offer_price, &mut state.offer_quantity, &mut state.dispatch] {
        cells[row * agents..][..agents].fill(0.0);
    }
    shard.draw_parameters(scenario, row);
    shard.state.start[row] = start.unwrap_or_else(|| series::start(scenario, shard.streams(row)));
    shard.state.demand[row] = series::demand(scenario, shard, row);
}

/// Publishes what the step came to and moves on by one hour.
fn clock(game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let scenario = game.scenario;
    let state = &mut shard.state;
    out.prices.copy_from_slice(&state.price);
    out.demand.copy_from_slice(&state.demand);
    out.unserved.copy_from_slice(&state.unserved);
    out.dispatch.copy_from_slice(&state.dispatch);
    for row in 0..shard.rows() {
        let state = &mut shard.state;
        state.t[row] += 1;
        let ended = state.t[row] >= scenario.horizon;
        let cut = game.limit.is_some_and(|limit| state.t[row] >= limit);
        out.terminated[row] = ended && scenario.episode_end == EpisodeEnd::Terminate;
        out.truncated[row] = cut || (ended && scenario.episode_end == EpisodeEnd::Truncate);
        state.finished[row] = ended || cut;
        shard.state.demand[row] = series::demand(scenario, shard, row);
    }
}
