//! N environments: their shards, and the threads that walk them.

use std::sync::Arc;

use crate::ahead;
use crate::bidding::ACTION_WIDTH;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::rows::Template;
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::shard::{Head, SHARD, Shard};
use crate::simd::{LANES, Simd, Vector, Work};
pub use crate::step::Resets;
use crate::step::{Autoreset, Game, Observe, Outputs, Reset, Step};

/// Agent rows that are worth a task of their own: less work than this costs less than waking a thread.
const GRAIN: usize = 8192;
const MOST_ENVS: i64 = 1 << 22;
const MOST_CELLS: usize = 1 << 30;

/// Sizes of a batch's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Environments, N.
    pub envs: usize,
    /// Agents of a market, A.
    pub agents: usize,
    /// Acting agents, L.
    pub acting: usize,
    /// Floats in one observation, F.
    pub width: usize,
}

impl Layout {
    /// Refuses buffers that are too large to be meant.
    pub fn check_size(self, steps: usize) -> Result<()> {
        let row = self.acting * self.width.max(ACTION_WIDTH);
        let cells = self.envs.checked_mul(row).and_then(|cells| cells.checked_mul(steps));
        if cells.is_none_or(|cells| cells > MOST_CELLS) {
            let reason =
                format!("{} environments, {steps} steps a call, need buffers of more than 2^30 entries", self.envs);
            return Err(Error::value("num_envs", reason));
        }
        Ok(())
    }
}

/// N independent markets stepped together.
#[derive(Debug)]
pub struct Batch {
    pub(crate) scenario: Arc<Scenario>,
    template: Template,
    pub(crate) seats: Seats,
    pub(crate) limit: Option<u32>,
    pub(crate) shards: Vec<Shard>,
    envs: usize,
    pool: Pool,
    simd: Simd,
    /// Whether results are asked for ahead; None to decide by their size.
    ask_ahead: Option<bool>,
    /// A walk was begun and did not come back: a panic, after which the state is not to be trusted.
    interrupted: bool,
}

impl Batch {
    /// Environments with seeds `seed`, `seed + 1`, ..., not yet reset.
    pub fn new(scenario: Arc<Scenario>, envs: i64, seed: u64, threads: i64, seats: Seats) -> Result<Self> {
        if !(1..=MOST_ENVS).contains(&envs) {
            return Err(Error::value("num_envs", format!("must be in 1..{MOST_ENVS}, got {envs}")));
        }
        let envs = envs as usize;
        let agents = scenario.agents();
        Layout { envs, agents, acting: agents, width: scenario.width }.check_size(1)?;
        check_memory(&scenario, envs)?;
        let pool = Pool::new(threads)?;
        let shards = (0..envs)
            .step_by(SHARD)
            .map(|first| Shard::new(&scenario, first, SHARD.min(envs - first), seed.wrapping_add(first as u64)))
            .collect();
        let template = Template::new(&scenario, &seats);
        Ok(Self {
            scenario,
            template,
            seats,
            limit: None,
            shards,
            envs,
            pool,
            simd: Simd::get()?,
            ask_ahead: None,
            interrupted: false,
        })
    }

    /// Cuts episodes after so many steps; None for no limit.
    pub fn set_limit(&mut self, limit: Option<i64>) -> Result<()> {
        self.limit = match limit {
            None => None,
            Some(n) if n >= 1 => Some(u32::try_from(n).unwrap_or(u32::MAX)),
            Some(n) => {
                return Err(Error::value("max_episode_steps", format!("must be >= 1, got {n}")));
            }
        };
        Ok(())
    }

    /// Keeps from now on what agents offered and ran in the last step, which else is kept only where observations show it.
    pub fn keep_offers(&mut self) {
        self.shards.iter_mut().for_each(Shard::keep_cells);
    }

    /// Sizes of the buffers.
    pub fn layout(&self) -> Layout {
        Layout {
            envs: self.envs,
            agents: self.scenario.agents(),
            acting: self.seats.acting().len(),
            width: self.scenario.width,
        }
    }

    /// The compiled scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Who plays whom.
    pub fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Uses another level of vector instructions; results stay the same.
    pub fn set_simd(&mut self, simd: Simd) {
        self.simd = simd;
    }

    /// Asks, or does not ask, for the memory of results ahead, whatever their size: for the benchmark that compares the two.
    pub fn ask_ahead(&mut self, ask: bool) {
        self.ask_ahead = Some(ask);
    }

    /// Threads that work in parallel.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Changes who plays whom; the buffers' sizes follow the number of acting agents.
    pub fn set_seats(&mut self, seats: Seats) {
        self.template = Template::new(&self.scenario, &seats);
        self.seats = seats;
    }

    /// Starts new episodes.
    pub fn reset(&mut self, resets: Resets<'_>, out: Outputs<'_>) -> Result<()> {
        if let Some(starts) = resets.starts {
            let last = self.scenario.demand.len() as i64 - i64::from(self.scenario.horizon);
            let chosen = |env: usize| resets.mask.is_none_or(|mask| mask[env]);
            if let Some((env, hour)) =
                starts.iter().enumerate().find(|(env, hour)| chosen(*env) && !(0..=last).contains(*hour))
            {
                let reason = format!("must leave room for an episode, 0..{last}, got {hour} for environment {env}");
                return Err(Error::value("start", reason));
            }
        }
        let simd = self.simd;
        self.walk(&[], 0, out, &|game, shard, _, out| simd.run(Reset { game, resets, shard, out }))
    }

    /// One step of every environment; `actions` is (N, L, 2).
    pub fn step(&mut self, actions: &[f32], autoreset: Autoreset, out: Outputs<'_>) -> Result<()> {
        self.check(actions, 1, autoreset)?;
        self.step_checked(actions, autoreset, out)
    }

    /// k steps of every environment; `actions` is (k, N, L, 2) and every buffer has a leading k.
    pub fn advance(&mut self, actions: &[f32], steps: usize, autoreset: Autoreset, out: Outputs<'_>) -> Result<()> {
        self.check(actions, steps, autoreset)?;
        let layout = self.layout();
        let mut rest = out;
        for actions in actions.chunks_exact(layout.envs * layout.acting * ACTION_WIDTH) {
            let (now, later) = rest.split(layout.envs, layout);
            rest = later;
            self.step_checked(actions, autoreset, now)?;
        }
        Ok(())
    }

    /// Writes every observation anew, from the state.
    pub fn observe(&mut self, out: Outputs<'_>) -> Result<()> {
        let simd = self.simd;
        self.walk(&[], 0, out, &|game, shard, _, out| simd.run(Observe { game, shard, out }))
    }

    fn step_checked(&mut self, actions: &[f32], autoreset: Autoreset, out: Outputs<'_>) -> Result<()> {
        let simd = self.simd;
        self.walk(actions, self.seats.acting().len() * ACTION_WIDTH, out, &|game, shard, actions, out| {
            simd.run(Step { game, autoreset, shard, actions, out });
        })
    }

    /// Refuses what cannot be stepped, before anything is changed.
    fn check(&self, actions: &[f32], steps: usize, autoreset: Autoreset) -> Result<()> {
        for shard in &self.shards {
            // Block by block, and row by row only to name the culprit.
            if shard.heads.iter().any(|head| self.refuses(head, steps, autoreset)) {
                self.check_rows(shard, steps, autoreset)?;
            }
        }
        // Names the culprit only if there is one.
        if self.simd.run(AnyOdd(actions)) { self.check_finite(actions, autoreset) } else { Ok(()) }
    }

    /// True where an environment of a block may not be stepped; lanes to spare, which never start, are among them.
    #[inline(always)]
    fn refuses(&self, head: &Head, steps: usize, autoreset: Autoreset) -> bool {
        let most = u32::try_from(steps).unwrap_or(u32::MAX);
        let left = self.end().saturating_sub(most);
        let late = autoreset == Autoreset::Disabled && head.t.iter().fold(false, |late, t| late | (*t > left));
        let over = autoreset != Autoreset::NextStep && head.finished != [false; LANES];
        late | over | (most > self.end() && autoreset == Autoreset::Disabled) | (head.started != [true; LANES])
    }

    /// The step at which every episode ends.
    fn end(&self) -> u32 {
        self.limit.unwrap_or(u32::MAX).min(self.scenario.horizon)
    }

    /// Refuses the first row that may not be stepped.
    fn check_rows(&self, shard: &Shard, steps: usize, autoreset: Autoreset) -> Result<()> {
        for row in 0..shard.rows() {
            let (head, lane) = shard.head(row);
            let environment = || format!("environment {}", shard.first + row);
            if !head.started[lane] {
                return Err(Error::value(environment(), "must be reset before the first step"));
            }
            if autoreset != Autoreset::NextStep && head.finished[lane] {
                return Err(Error::value(environment(), "its episode has ended; reset it first"));
            }
            let left = self.end().saturating_sub(head.t[lane]);
            if autoreset == Autoreset::Disabled && steps > left as usize {
                let reason = format!("its episode ends in {left} steps, before the {steps} asked for");
                return Err(Error::value(environment(), reason));
            }
        }
        Ok(())
    }

    fn check_finite(&self, actions: &[f32], autoreset: Autoreset) -> Result<()> {
        let acting = self.seats.acting();
        for (i, action) in actions.iter().enumerate().filter(|(_, action)| !action.is_finite()) {
            let (row, part) = (i / ACTION_WIDTH, i % ACTION_WIDTH);
            let (step, env) = (row / acting.len() / self.envs, row / acting.len() % self.envs);
            // The row that is reset instead of stepped ignores its action.
            let (head, lane) = self.shards[env / SHARD].head(env % SHARD);
            if autoreset == Autoreset::NextStep && step == 0 && head.finished[lane] {
                continue;
            }
            let agent = acting[row % acting.len()];
            let name = &self.scenario.spec.generators[agent].name;
            let reason = format!("must be finite, got {action} in step {step}, part {part} of the action");
            return Err(Error::value(format!("actions: environment {env}, agent {agent} ({name})"), reason));
        }
        Ok(())
    }

    /// Runs `body` on every shard with its rows of the inputs and outputs: the same code for one thread and for many.
    fn walk<F>(&mut self, inputs: &[f32], input_width: usize, out: Outputs<'_>, body: &F) -> Result<()>
    where
        F: Fn(&Game<'_>, &mut Shard, &[f32], &mut Outputs<'_>) + Sync,
    {
        if std::mem::replace(&mut self.interrupted, true) {
            return Err(Error::Runtime("engine: unusable after an internal error".into()));
        }
        let layout = self.layout();
        let game = Game {
            scenario: &self.scenario,
            template: &self.template,
            seats: &self.seats,
            limit: self.limit,
            large: self.ask_ahead.unwrap_or(ahead::is_worth_it(
                layout.envs,
                layout.agents,
                layout.acting,
                layout.width,
            )),
        };
        let worth = (layout.envs * layout.agents).div_ceil(GRAIN);
        let tasks = worth.min(4 * self.pool.threads());
        let walk = Walk { game, layout, input_width, body };
        if self.pool.threads() == 1 || tasks < 2 {
            walk.over(&mut self.shards, inputs, out, usize::MAX);
            self.interrupted = false;
            return Ok(());
        }
        let grain = self.shards.len().div_ceil(tasks);
        let shards = &mut self.shards;
        let done = self.pool.run(move || walk.over(shards, inputs, out, grain));
        self.interrupted = false;
        done
    }
}

/// Whether any number is infinite or NaN.
struct AnyOdd<'a>(&'a [f32]);

impl Work for AnyOdd<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> bool {
        // Exponents of all ones; a loop that vectorises.
        const EXPONENT: u32 = 0x7f80_0000;
        let mut odd = false;
        for x in self.0 {
            odd |= x.to_bits() & EXPONENT == EXPONENT;
        }
        odd
    }
}

/// What stays the same while the shards are walked.
struct Walk<'a, F> {
    game: Game<'a>,
    layout: Layout,
    input_width: usize,
    body: &'a F,
}

impl<F> Walk<'_, F>
where
    F: Fn(&Game<'_>, &mut Shard, &[f32], &mut Outputs<'_>) + Sync,
{
    /// Halves the shards until no more than `grain` are left, which one thread walks in order.
    fn over(&self, shards: &mut [Shard], inputs: &[f32], out: Outputs<'_>, grain: usize) {
        if shards.len() > grain {
            let middle = shards.len() / 2;
            let (left, right) = shards.split_at_mut(middle);
            let (left_in, right_in) = inputs.split_at(middle * SHARD * self.input_width);
            let (left_out, right_out) = out.split(middle * SHARD, self.layout);
            rayon::join(|| self.over(left, left_in, left_out, grain), || self.over(right, right_in, right_out, grain));
            return;
        }
        let (mut inputs, mut rest) = (inputs, out);
        for shard in shards {
            let (own, later) = inputs.split_at(shard.rows() * self.input_width);
            let (mut now, next) = rest.split(shard.rows(), self.layout);
            (self.body)(&self.game, shard, own, &mut now);
            (inputs, rest) = (later, next);
        }
    }
}

impl<'a> Outputs<'a> {
    /// The same buffers for a shorter time.
    pub fn reborrow(&mut self) -> Outputs<'_> {
        Outputs {
            observations: self.observations,
            final_observations: self.final_observations,
            rewards: self.rewards,
            terminated: self.terminated,
            truncated: self.truncated,
            prices: self.prices,
            demand: self.demand,
            unserved: self.unserved,
            dispatch: self.dispatch,
            profits: self.profits,
        }
    }

    /// Takes what the last of several steps wrote, and the last true final observation of every environment.
    pub fn take_last_of(&mut self, all: &Outputs<'_>, layout: Layout, autoreset: Autoreset) {
        last(self.observations, all.observations);
        last(self.rewards, all.rewards);
        last(self.terminated, all.terminated);
        last(self.truncated, all.truncated);
        last(self.prices, all.prices);
        last(self.demand, all.demand);
        last(self.unserved, all.unserved);
        last(self.dispatch, all.dispatch);
        last(self.profits, all.profits);
        if autoreset != Autoreset::SameStep {
            return;
        }
        let size = layout.acting * layout.width;
        for (i, row) in all.final_observations.chunks_exact(size).enumerate() {
            if all.terminated[i] || all.truncated[i] {
                self.final_observations[i % layout.envs * size..][..size].copy_from_slice(row);
            }
        }
    }

    /// The buffers of the first `rows` rows, and of the others.
    fn split(self, rows: usize, layout: Layout) -> (Self, Self) {
        let (agents, acting) = (rows * layout.agents, rows * layout.acting);
        let (observations, observations_rest) = self.observations.split_at_mut(acting * layout.width);
        let (final_observations, final_rest) = self.final_observations.split_at_mut(acting * layout.width);
        let (rewards, rewards_rest) = self.rewards.split_at_mut(acting);
        let (terminated, terminated_rest) = self.terminated.split_at_mut(rows);
        let (truncated, truncated_rest) = self.truncated.split_at_mut(rows);
        let (prices, prices_rest) = self.prices.split_at_mut(rows);
        let (demand, demand_rest) = self.demand.split_at_mut(rows);
        let (unserved, unserved_rest) = self.unserved.split_at_mut(rows);
        let (dispatch, dispatch_rest) = self.dispatch.split_at_mut(agents);
        let (profits, profits_rest) = self.profits.split_at_mut(agents);
        let first = Outputs {
            observations,
            final_observations,
            rewards,
            terminated,
            truncated,
            prices,
            demand,
            unserved,
            dispatch,
            profits,
        };
        let rest = Outputs {
            observations: observations_rest,
            final_observations: final_rest,
            rewards: rewards_rest,
            terminated: terminated_rest,
            truncated: truncated_rest,
            prices: prices_rest,
            demand: demand_rest,
            unserved: unserved_rest,
            dispatch: dispatch_rest,
            profits: profits_rest,
        };
        (first, rest)
    }
}

/// Asks for the memory of the states once, as a whole: many small requests would be granted and end in an abort.
fn check_memory(scenario: &Scenario, envs: usize) -> Result<()> {
    let slots = if scenario.is_randomised() { scenario.base_row().len() } else { 0 };
    let bytes = envs * (64 + 24 * scenario.agents() + 8 * slots);
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
        Error::value("num_envs", format!("not enough memory for {envs} environments of this scenario, {bytes} bytes"))
    })
}

fn last<T: Copy>(to: &mut [T], from: &[T]) {
    to.copy_from_slice(&from[from.len() - to.len()..]);
}
