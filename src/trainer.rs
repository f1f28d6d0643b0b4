//! Training in the core: play, scale rewards, advantages, update, again and again.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::batch::{Batch, Layout};
use crate::error::{Error, Result};
use crate::moments::Moments;
use crate::pool::Pool;
use crate::ppo::{Decay, Figures, Learner, Samples, Settings, Steps, Updater, advantages};
use crate::record::{Record, Running, Tally};
use crate::rollout::Party;
use crate::simd::Simd;
use crate::step::Outputs;

/// What names the randomness of a learner.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Of its actions.
    pub actions: u64,
    /// Of the order of its samples.
    pub shuffles: u64,
}

/// What stays the same in all iterations.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// Steps of every environment in an iteration, T.
    pub steps: usize,
    /// Discount and decay of the trace.
    pub decay: Decay,
    /// Divide rewards by the running standard deviation of the discounted return.
    pub scales_rewards: bool,
    /// Scale the advantages of each step over the environments.
    pub scales_steps: bool,
    /// Map observations by their running mean and standard deviation.
    pub scales_observations: bool,
}

/// What an iteration came to, for one learner.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Of the update.
    pub figures: Figures,
    /// Episodes that ended, of all learners; their mean return and length.
    pub episodes: f64,
    /// Mean return of these episodes; NaN without any.
    pub episode_return: f64,
    /// Mean length of these episodes; NaN without any.
    pub episode_length: f64,
    /// Mean profit of a row and step, $.
    pub profit: f64,
    /// Mean clearing price, $/MWh.
    pub price: f64,
    /// Share of the variance of the returns that the values explain.
    pub explained_variance: f64,
}

/// A learner, or one for each acting agent, in a batch of environments.
#[derive(Debug)]
pub struct Trainer {
    /// One for all rows, or one per acting agent.
    pub learners: Vec<Learner>,
    keys: Vec<Keys>,
    course: Course,
    updaters: Vec<Updater>,
    pool: Pool,
    /// For what is done on one thread while others do the like.
    alone: Pool,
    simd: Simd,
    /// What happened in the last iteration.
    pub record: Record,
    advantages: Vec<f32>,
    returns: Vec<f32>,
    /// The running episodes.
    pub running: Running,
    /// Discounted returns so far of the running episodes, (M,).
    pub discounted: Vec<f32>,
    /// Of the discounted returns, one per learner.
    pub scales: Vec<Moments>,
    /// Of the observations, (F,) for each learner; empty where they are mapped in another way.
    pub seen: Vec<Vec<Moments>>,
    /// Iterations taken.
    pub iteration: u64,
}

impl Trainer {
    /// Room for everything.
    pub fn new(learners: Vec<Learner>, keys: Vec<Keys>, course: Course, layout: Layout, threads: i64) -> Result<Self> {
        let pool = Pool::new(threads)?;
        let rows = layout.envs * layout.acting;
        if keys.len() != learners.len() {
            return Err(Error::value(
                "keys",
                format!("must be one per learner, {}, got {}", learners.len(), keys.len()),
            ));
        }
        if course.steps == 0 {
            return Err(Error::value("steps", "must be at least 1, got 0"));
        }
        layout.check_size(course.steps)?;
        let updaters = learners.iter().map(|learner| Updater::new(&learner.brain, pool.threads())).collect();
        Ok(Self {
            scales: vec![Moments::default(); learners.len()],
            seen: vec![
                vec![Moments::default(); if course.scales_observations { layout.width } else { 0 }];
                learners.len()
            ],
            keys,
            course,
            updaters,
            alone: Pool::new(1)?,
            pool,
            simd: Simd::get()?,
            record: Record::new(rows, course.steps, layout.width),
            advantages: vec![0.0; rows * course.steps],
            returns: vec![0.0; rows * course.steps],
            running: Running::new(rows),
            discounted: vec![0.0; rows],
            iteration: 0,
            learners,
        })
    }

    /// One iteration; `spread` is the log standard deviation of the actions where it is given and not learned.
    pub fn iterate(
        &mut self,
        batch: &mut Batch,
        out: Outputs<'_>,
        settings: &Settings,
        spread: Option<f32>,
    ) -> Result<Vec<Report>> {
        if let Some(spread) = spread {
            self.learners.iter_mut().for_each(|learner| learner.set_spread(spread));
        }
        let tally = self.play(batch, out)?;
        let layout = batch.layout();
        self.estimate();
        let mut reports = Vec::with_capacity(self.learners.len());
        for (which, figures) in self.update(settings)?.into_iter().enumerate() {
            let (episodes, cells) = (tally.episodes as f64, (self.record.rows * self.course.steps) as f64);
            reports.push(Report {
                figures,
                episodes,
                episode_return: tally.returns / episodes,
                episode_length: tally.lengths as f64 / episodes,
                profit: tally.profits / cells,
                price: tally.prices / (layout.envs * self.course.steps) as f64,
                explained_variance: self.explained_variance(which),
            });
        }
        if self.course.scales_observations {
            self.look();
        }
        self.iteration += 1;
        Ok(reports)
    }

    /// Plays the steps of an iteration.
    pub fn play(&mut self, batch: &mut Batch, out: Outputs<'_>) -> Result<Tally> {
        let Self { learners, keys, course, record, running, iteration, .. } = self;
        let party: Vec<_> = learners.iter().zip(&*keys).map(|(learner, keys)| (learner, keys.actions)).collect();
        let taken = (*iteration as u32).wrapping_mul(course.steps as u32);
        batch.rollout(Party { learners: &party, taken }, record, running, out)
    }

    /// Takes the observations into their running moments; the next iteration sees by them.
    fn look(&mut self) {
        let Self { learners, record, seen, .. } = self;
        let (stride, features) = (learners.len(), record.features);
        for (which, (learner, seen)) in learners.iter_mut().zip(seen).enumerate() {
            let mut fresh = vec![Moments::default(); features];
            for row in (which..record.rows).step_by(stride) {
                let cells = row * record.steps * features..(row + 1) * record.steps * features;
                let own = &record.observations[cells];
                for (feature, moments) in fresh.iter_mut().enumerate() {
                    moments.merge(&Moments::of(own.iter().skip(feature).step_by(features).map(|x| f64::from(*x))));
                }
            }
            for (moments, fresh) in seen.iter_mut().zip(&fresh) {
                moments.merge(fresh);
            }
            map_by(learner, seen);
        }
    }

    /// Goes on from moments that were seen elsewhere.
    pub fn set_seen(&mut self, seen: Vec<Vec<Moments>>) {
        self.seen = seen;
        for (learner, seen) in self.learners.iter_mut().zip(&self.seen) {
            map_by(learner, seen);
        }
    }

    /// Advantages of the last iteration, (M, T).
    pub fn advantages(&self) -> &[f32] {
        &self.advantages
    }

    /// Takes the rewards into the running scales and writes all advantages.
    fn estimate(&mut self) {
        let Self { course, record, discounted, scales, advantages: all, returns, .. } = self;
        let (steps, stride) = (course.steps, scales.len());
        if course.scales_rewards {
            for (which, scale) in scales.iter_mut().enumerate() {
                scale.merge(&discounted_moments(record, discounted, course.decay.gamma, which, stride));
            }
        }
        for (row, own) in all.chunks_exact_mut(steps).enumerate() {
            let cells = row * steps..(row + 1) * steps;
            let scale = scales[row % stride];
            let factor = if course.scales_rewards { (1.0 / scale.std()) as f32 } else { 1.0 };
            let steps = Steps {
                rewards: &record.rewards[cells.clone()],
                values: &record.values[cells.clone()],
                next_value: record.next_values[row],
                last_values: &record.last_values[cells.clone()],
                terminated: &record.terminated[cells.clone()],
                truncated: &record.truncated[cells],
            };
            advantages(steps, factor, course.decay, own);
        }
        for ((all, advantage), value) in returns.iter_mut().zip(&*all).zip(&record.values) {
            *all = advantage + value;
        }
        if course.scales_steps {
            for which in 0..stride {
                for t in 0..steps {
                    scale_step(all, steps, t, which, stride);
                }
            }
        }
    }

    /// Lets every learner learn from its rows: several learners at once, one on all threads.
    fn update(&mut self, settings: &Settings) -> Result<Vec<Figures>> {
        let Self { learners, keys, updaters, pool, alone, simd, record, advantages, returns, iteration, .. } = self;
        let count = learners.len();
        let given = [advantages.as_slice(), returns.as_slice()];
        let inner = if count == 1 { &*pool } else { &*alone };
        let jobs: Vec<_> = learners
            .iter_mut()
            .zip(updaters)
            .map(|(learner, updater)| Mutex::new((learner, updater, Ok(Figures::default()))))
            .collect();
        let next = AtomicUsize::new(0);
        pool.share(if count == 1 { 1 } else { pool.threads().min(count) }, &|| {
            loop {
                let which = next.fetch_add(1, Relaxed);
                let Some(job) = jobs.get(which) else { break };
                let (learner, updater, figures) = &mut *job.lock().unwrap_or_else(PoisonError::into_inner);
                let samples = samples(record, given, which, count);
                let name = (keys[which].shuffles, *iteration);
                *figures = updater.update(*simd, inner, learner, samples, settings, name);
            }
        })?;
        jobs.into_iter().map(|job| job.into_inner().unwrap_or_else(PoisonError::into_inner).2).collect()
    }

    /// `1 - var(returns - values) / var(returns)`; NaN where returns do not vary.
    fn explained_variance(&self, which: usize) -> f64 {
        let given = [self.advantages.as_slice(), &self.returns];
        let samples = samples(&self.record, given, which, self.learners.len());
        let returns = samples.places().map(|at| f64::from(samples.returns[at]));
        let errors = samples.places().map(|at| f64::from(samples.returns[at]) - f64::from(samples.values[at]));
        let (errors, variance) = (Moments::of(errors), Moments::of(returns).variance);
        if variance > 0.0 { 1.0 - errors.variance / variance } else { f64::NAN }
    }
}

/// Scales the advantages of one step of a learner's rows to mean 0 and standard deviation 1; those that are all the same
/// become 0.
fn scale_step(advantages: &mut [f32], steps: usize, t: usize, which: usize, stride: usize) {
    let of_step = advantages.iter().skip(which * steps + t).step_by(stride * steps);
    let moments = Moments::of(of_step.map(|x| f64::from(*x)));
    let factor = if moments.variance > 0.0 { 1.0 / (moments.variance.sqrt() + 1e-8) } else { 0.0 };
    for x in advantages.iter_mut().skip(which * steps + t).step_by(stride * steps) {
        *x = ((f64::from(*x) - moments.mean) * factor) as f32;
    }
}

/// Maps a learner's observations by what was seen so far, if it goes by that.
fn map_by(learner: &mut Learner, seen: &[Moments]) {
    for (moments, (centre, factor)) in seen.iter().zip(learner.centre.iter_mut().zip(&mut learner.factor)) {
        if moments.count > 0.0 {
            (*centre, *factor) = (moments.mean as f32, (1.0 / moments.std()) as f32);
        }
    }
}

/// The samples of one learner.
fn samples<'a>(
    record: &'a Record,
    [advantages, returns]: [&'a [f32]; 2],
    which: usize,
    learners: usize,
) -> Samples<'a> {
    Samples {
        observations: &record.observations,
        actions: &record.actions,
        log_probs: &record.log_probs,
        advantages,
        returns,
        values: &record.values,
        steps: record.steps,
        first: which,
        stride: learners,
    }
}

/// Moments of the discounted returns so far, `g_t = r_t + gamma g_{t-1}`, which start anew with each episode.
fn discounted_moments(record: &Record, discounted: &mut [f32], gamma: f32, which: usize, stride: usize) -> Moments {
    let mut moments = Moments::default();
    for row in (which..record.rows).step_by(stride) {
        let cells = row * record.steps..(row + 1) * record.steps;
        let flags = record.terminated[cells.clone()].iter().zip(&record.truncated[cells.clone()]);
        let mut running = discounted[row];
        let returns = record.rewards[cells].iter().zip(flags).map(|(reward, (terminated, truncated))| {
            let now = reward + gamma * running;
            running = if *terminated || *truncated { 0.0 } else { now };
            f64::from(now)
        });
        // Shifted by the first, a row's sums of squares lose nothing.
        let (mut count, mut first, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
        for x in returns {
            if count == 0.0 {
                first = x;
            }
            count += 1.0;
            sum += x - first;
            squares += (x - first) * (x - first);
        }
        let mean = sum / count;
        moments.merge(&Moments { count, mean: first + mean, variance: (squares / count - mean * mean).max(0.0) });
        discounted[row] = running;
    }
    moments
}
