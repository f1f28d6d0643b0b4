//! N environments: their shards, and what is checked before they are stepped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::ahead;
use crate::bidding::{ACTION_WIDTH, Bids};
use crate::error::{Error, Result};
pub use crate::outputs::Layout;
use crate::outputs::{Rows, Steps};
use crate::pool::Pool;
use crate::rivals::{Desk, Rivals};
use crate::rows::Template;
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::shard::{Head, SHARD, Shard};
use crate::simd::{LANES, Simd, Vector, Work};
pub use crate::step::Resets;
use crate::step::{Autoreset, Game, Observe, Outputs, Reset, Step};
use crate::walk::{Walk, tasks};

/// Shards that are checked at a time.
const CHECKED: usize = 16;
const MOST_ENVS: i64 = 1 << 22;

/// N independent markets stepped together.
#[derive(Debug)]
pub struct Batch {
    pub(crate) scenario: Arc<Scenario>,
    template: Template,
    pub(crate) seats: Seats,
    rivals: Option<Rivals>,
    pub(crate) limit: Option<u32>,
    pub(crate) shards: Vec<Shard>,
    envs: usize,
    pool: Pool,
    simd: Simd,
    /// The last offers, where they are kept, are those of the last step.
    pub(crate) knows_offers: bool,
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
        let template = Template::new(&scenario, seats.acting());
        let rivals = Rivals::new(&scenario, seats.mixtures(), pool.threads(), false)?;
        Ok(Self {
            scenario,
            template,
            seats,
            rivals,
            limit: None,
            shards,
            envs,
            pool,
            simd: Simd::get()?,
            knows_offers: true,
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
        if !self.shards.iter().all(Shard::keeps_cells) {
            self.shards.iter_mut().for_each(Shard::keep_cells);
            self.forget_offers();
        }
    }

    /// True where the last offers are kept: from the first step on after they were asked for.
    pub fn knows_offers(&self) -> bool {
        self.knows_offers && self.shards.iter().all(Shard::keeps_cells)
    }

    /// What was offered in the last step is not known, if there was one.
    pub(crate) fn forget_offers(&mut self) {
        let untouched = |shard: &Shard| (0..shard.rows()).all(|row| shard.head(row).0.t[row % LANES] == 0);
        self.knows_offers = self.shards.iter().all(untouched);
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

    /// The head of one environment and its lane in it.
    pub fn head(&self, env: usize) -> (&Head, usize) {
        self.shards[env / SHARD].head(env % SHARD)
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

    /// Changes who plays whom, at once also in running episodes; the buffers' sizes follow the number of acting agents.
    pub fn set_seats(&mut self, seats: Seats) -> Result<()> {
        self.rivals = Rivals::new(&self.scenario, seats.mixtures(), self.pool.threads(), false)?;
        self.template = Template::new(&self.scenario, seats.acting());
        self.seats = seats;
        Ok(())
    }

    /// Work of one step of all environments, in steps of one agent of a large market.
    pub fn work(&self) -> usize {
        self.envs * (self.scenario.agents() + self.rivals.as_ref().map_or(0, Rivals::work))
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
        self.knows_offers |= resets.mask.is_none();
        self.walk([out], &|game, shard, _, out| simd.run(Reset { game, resets, shard, out }))
    }

    /// One step of every environment; `actions` is (N, L, 2).
    pub fn step(&mut self, actions: &[f32], autoreset: Autoreset, out: Outputs<'_>) -> Result<()> {
        self.check(actions, 1, autoreset)?;
        self.play(actions, autoreset, [out])
    }

    /// k steps of every environment; `actions` is (k, N, L, 2) and every buffer of `out` has a leading k. `last` is left as
    /// k single steps would have left it.
    pub fn advance(
        &mut self,
        actions: &[f32],
        steps: usize,
        autoreset: Autoreset,
        out: Outputs<'_>,
        last: Outputs<'_>,
    ) -> Result<()> {
        self.check(actions, steps, autoreset)?;
        let out = Steps::new(out, steps, last, self.layout(), autoreset);
        self.play(actions, autoreset, out)
    }

    /// Writes every observation anew, from the state.
    pub fn observe(&mut self, out: Outputs<'_>) -> Result<()> {
        let simd = self.simd;
        self.walk([out], &|game, shard, _, out| simd.run(Observe { game, shard, out }))
    }

    /// As many steps as there are outputs.
    fn play<'a>(&'a mut self, actions: &[f32], autoreset: Autoreset, out: impl Rows<'a>) -> Result<()> {
        let (simd, width) = (self.simd, self.seats.acting().len() * ACTION_WIDTH);
        let per_step = self.envs * width;
        self.knows_offers |= !actions.is_empty();
        self.walk(out, &|game, shard, step, out| {
            let actions = &actions[step * per_step + shard.first * width..][..shard.rows() * width];
            let (acting, _) = actions.as_chunks();
            let desk = game.rivals.map(|rivals| rivals.decide(simd, game.scenario, shard));
            let bids = desk.as_deref().map_or(Bids::only(acting), |desk: &Desk| desk.bids(acting));
            simd.run(Step { game, autoreset, shard, bids, out });
        })
    }

    /// Refuses what cannot be stepped, before anything is changed.
    fn check(&self, actions: &[f32], steps: usize, autoreset: Autoreset) -> Result<()> {
        let (next, wrong) = (AtomicUsize::new(0), AtomicBool::new(false));
        self.pool.share(tasks(&self.pool, self.layout(), steps * self.envs * self.scenario.agents()), &|| {
            while let Some(shards) = self.shards.chunks(CHECKED).nth(next.fetch_add(1, Relaxed)) {
                if self.is_odd(shards, actions, steps, autoreset) {
                    wrong.store(true, Relaxed);
                }
            }
        })?;
        if !wrong.into_inner() {
            return Ok(());
        }
        // Names the culprit, if there is one.
        self.check_running(steps, autoreset)?;
        self.check_finite(actions, autoreset)
    }

    /// True where neighbouring shards have to be looked at row by row.
    fn is_odd(&self, shards: &[Shard], actions: &[f32], steps: usize, autoreset: Autoreset) -> bool {
        let width = self.seats.acting().len() * ACTION_WIDTH;
        let (first, rows) = (shards[0].first, shards.iter().map(Shard::rows).sum::<usize>());
        let refused = |shard: &Shard| shard.heads.iter().any(|head| self.refuses(head, steps, autoreset));
        let of_step = |step| &actions[(step * self.envs + first) * width..][..rows * width];
        shards.iter().any(|shard| refused(shard) && self.check_rows(shard, steps, autoreset).is_err())
            || (0..steps).any(|step| self.simd.run(AnyOdd(of_step(step))))
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

    /// Refuses environments that cannot take so many steps.
    pub(crate) fn check_running(&self, steps: usize, autoreset: Autoreset) -> Result<()> {
        self.shards.iter().try_for_each(|shard| self.check_rows(shard, steps, autoreset))
    }

    /// The level of vector instructions in use.
    pub(crate) fn simd(&self) -> Simd {
        self.simd
    }

    /// Runs `body` on every shard, for each step in turn, with its rows of the outputs.
    fn walk<'a, R, F>(&'a mut self, out: R, body: &F) -> Result<()>
    where
        R: Rows<'a>,
        F: Fn(&Game<'_>, &mut Shard, usize, &mut Outputs<'_>) + Sync,
    {
        self.walk_long(out, 1, body)
    }

    /// The same where each call of `body` takes as long as so many steps.
    pub(crate) fn walk_long<'a, R, F>(&'a mut self, mut out: R, effort: usize, body: &F) -> Result<()>
    where
        R: Rows<'a>,
        F: Fn(&Game<'_>, &mut Shard, usize, &mut Outputs<'_>) + Sync,
    {
        if std::mem::replace(&mut self.interrupted, true) {
            return Err(Error::Runtime("engine: unusable after an internal error".into()));
        }
        let layout = self.layout();
        let written = layout.bytes() * out.as_mut().len();
        let game = Game {
            scenario: &self.scenario,
            template: &self.template,
            seats: &self.seats,
            rivals: self.rivals.as_ref(),
            limit: self.limit,
            large: self.ask_ahead.unwrap_or(written > ahead::LARGE),
        };
        let done = Walk { game, layout, pool: &self.pool, effort }.run(&mut self.shards, out, body);
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

/// Asks for the memory of the states once, as a whole: many small requests would be granted and end in an abort.
fn check_memory(scenario: &Scenario, envs: usize) -> Result<()> {
    let slots = if scenario.is_randomised() { scenario.base_row().len() } else { 0 };
    let bytes = envs * (64 + 24 * scenario.agents() + 8 * slots);
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
        Error::value("num_envs", format!("not enough memory for {envs} environments of this scenario, {bytes} bytes"))
    })
}
