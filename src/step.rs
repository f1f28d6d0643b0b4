//! The order of one step: bids, clearing, settlement, reward, clock, observation.

use crate::bidding;
use crate::clearing;
use crate::publish;
use crate::rewards::{self, AgentStep};
use crate::rows::{self, Template};
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::series;
use crate::settle;
use crate::shard::Shard;
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
        rows::observe(simd, scenario, template, seats, self.shard, self.out.observations);
        let size = seats.acting().len() * scenario.width;
        for (row, started) in self.shard.state.started[..self.shard.rows()].iter().enumerate() {
            if !started {
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
        let (first, rows) = (shard.first, shard.rows());
        for row in 0..rows {
            shard.scratch.resetting[row] = resets.mask.is_none_or(|mask| mask[first + row]);
        }
        if !shard.scratch.resetting[..rows].contains(&true) {
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
        step(simd, self.game, self.autoreset, self.shard, self.actions, self.out);
    }
}

/// One step of every environment of a shard. `actions` is (S, L, 2), finite.
#[inline(always)]
pub fn step<V: Vector>(
    simd: V,
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

    let (actions, _) = actions.as_chunks();
    for block in 0..shard.blocks() {
        bidding::offer(simd, scenario, seats, shard, block, &actions[block * LANES * seats.acting().len()..]);
        clearing::clear(simd, scenario, shard, block);
        settle_and_reward(simd, game, shard, block, out);
    }
    clock(simd, game, shard, out);
    if resetting {
        reset(simd, game, shard, |_| (None, None), out);
    }
    rows::observe(simd, scenario, template, seats, shard, out.observations);

    if autoreset == Autoreset::SameStep && shard.state.finished.contains(&true) {
        reset_at_once(simd, game, shard, out);
    }
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
    for row in (0..shard.rows()).filter(|&row| shard.scratch.resetting[row]) {
        out.rewards[row * acting..][..acting].fill(0.0);
        out.dispatch[row * agents..][..agents].fill(0.0);
        out.profits[row * agents..][..agents].fill(0.0);
        out.terminated[row] = false;
        out.truncated[row] = false;
        out.prices[row] = 0.0;
        out.unserved[row] = 0.0;
        out.demand[row] = shard.state.demand[row / LANES][row % LANES];
    }
}

/// Keeps the true last observations of finished environments apart and starts their next episodes.
#[inline(always)]
fn reset_at_once<V: Vector>(simd: V, game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let Game { scenario, template, seats, .. } = *game;
    let size = seats.acting().len() * scenario.width;
    for row in (0..shard.rows()).filter(|&row| shard.state.finished[row]) {
        let cells = row * size..(row + 1) * size;
        out.final_observations[cells.clone()].copy_from_slice(&out.observations[cells]);
    }
    shard.scratch.resetting.copy_from_slice(&shard.state.finished);
    begin_episodes(simd, scenario, shard, |_| (None, None));
    rows::observe(simd, scenario, template, seats, shard, out.observations);
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
        if !shard.scratch.resetting[row] {
            continue;
        }
        let (seed, start) = given(row);
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
        shard.draw_numbers(scenario, row);
        shard.state.start[row] = start.unwrap_or_else(|| series::start(scenario, shard.streams(row)));
    }
    shard.forget_last_step(scenario);
    // Demand follows from seed, episode and step, so that it may be drawn again where nothing was reset.
    draw_demand(simd, scenario, shard);
}

/// Draws the demand that the next step clears.
#[inline(always)]
fn draw_demand<V: Vector>(simd: V, scenario: &Scenario, shard: &mut Shard) {
    for block in 0..shard.blocks() {
        let demand = series::demand(simd, scenario, shard, block);
        simd.store(demand, &mut shard.state.demand[block]);
    }
}

/// Settles a block and publishes what every agent's step came to.
#[inline(always)]
fn settle_and_reward<V: Vector>(
    simd: V,
    game: &Game<'_>,
    shard: &mut Shard,
    block: usize,
    out: &mut Outputs<'_>,
) {
    let Game { scenario, seats, .. } = *game;
    let (agents, slots) = (scenario.agents(), scenario.slots());
    let rows = block * LANES..shard.rows().min((block + 1) * LANES);
    let Shard { state, numbers, scratch, .. } = shard;
    let cells = block * agents..(block + 1) * agents;
    let dispatch = &state.dispatch[cells.clone()];
    let offer_price = &state.offer_price[cells.clone()];
    let offer_quantity = &state.offer_quantity[cells];
    let price = simd.load(&state.price[block]);
    for (agent, (profit, (x, offer))) in scratch.profits.iter_mut().zip(dispatch.iter().zip(offer_price)).enumerate() {
        let srmc = numbers.of_block(simd, block, slots.srmc(agent));
        let paid = settle::profit(scenario.rules.pricing, price, simd.load(offer), srmc, simd.load(x));
        simd.store(paid, profit);
    }
    let acting = seats.acting();
    scratch.rewards.resize(acting.len(), [0.0; LANES]);
    let unserved = simd.load(&state.unserved[block]);
    for (reward, &agent) in scratch.rewards.iter_mut().zip(acting) {
        let step = AgentStep {
            profit: simd.load(&scratch.profits[agent]),
            offer_price: simd.load(&offer_price[agent]),
            offer_quantity: simd.load(&offer_quantity[agent]),
            capacity: numbers.of_block(simd, block, slots.capacity(agent)),
            srmc: numbers.of_block(simd, block, slots.srmc(agent)),
            dispatch: simd.load(&dispatch[agent]),
            unserved,
        };
        *reward = rewards::reward(simd, scenario, numbers, block, &step);
    }
    let cells = rows.start * agents..rows.end * agents;
    publish::agents(simd, dispatch, &mut out.dispatch[cells.clone()]);
    publish::agents(simd, scratch.profits.as_slice(), &mut out.profits[cells]);
    publish::agents(simd, scratch.rewards.as_slice(), &mut out.rewards[rows.start * acting.len()..rows.end * acting.len()]);
}

/// Publishes what the markets came to and moves on by one hour.
#[inline(always)]
fn clock<V: Vector>(simd: V, game: &Game<'_>, shard: &mut Shard, out: &mut Outputs<'_>) {
    let scenario = game.scenario;
    let rows = shard.rows();
    let state = &mut shard.state;
    publish::markets(&state.price, out.prices);
    publish::markets(&state.demand, out.demand);
    publish::markets(&state.unserved, out.unserved);
    let (terminates, truncates) =
        (scenario.episode_end == EpisodeEnd::Terminate, scenario.episode_end == EpisodeEnd::Truncate);
    let limit = game.limit.unwrap_or(u32::MAX);
    state.t.iter_mut().for_each(|t| *t += 1);
    let flags = out.terminated.iter_mut().zip(out.truncated.iter_mut()).zip(&mut state.finished);
    for (t, ((terminated, truncated), finished)) in state.t[..rows].iter().zip(flags) {
        let (ended, cut) = (*t >= scenario.horizon, *t >= limit);
        *terminated = ended & terminates;
        *truncated = cut | (ended & truncates);
        *finished = ended | cut;
    }
    draw_demand(simd, scenario, shard);
}
