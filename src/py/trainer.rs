//! `vecmarket._core.Trainer`: learners that train in an engine's environments without the interpreter.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::detached;
use super::engine::Engine;
use super::stepper::Stepper;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::moments::Moments;
use crate::nn::Activation;
use crate::pool::Pool;
use crate::ppo::{Decay, Learner, Plan, Samples, Settings, Updater};
use crate::record::Running;
use crate::simd::Simd;
use crate::step::Outputs;
use crate::trainer::{self, Keys, Report, Trainer as Core};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;
type Floats<'py> = PyReadonlyArray1<'py, f32>;
/// Parameters, first and second moments, steps of Adam.
type LearnerState<'py> = (Vec1<'py, f32>, Vec1<'py, f32>, Vec1<'py, f32>, u64);
type Vec1<'py, T> = Bound<'py, numpy::PyArray1<T>>;

/// Of every iteration and learner.
type Reports = Vec<Vec<Report>>;

/// Names of a report's numbers, in their order.
const FIGURES: [&str; 11] = [
    "policy_loss",
    "value_loss",
    "approx_kl",
    "clip_fraction",
    "epochs",
    "explained_variance",
    "episodes",
    "episode_return",
    "episode_length",
    "mean_profit",
    "mean_price",
];

fn figures(report: &Report) -> [f64; FIGURES.len()] {
    let [policy_loss, value_loss, divergence, clipped] = report.figures.losses;
    [
        policy_loss,
        value_loss,
        divergence,
        clipped,
        report.figures.epochs as f64,
        report.explained_variance,
        report.episodes,
        report.episode_return,
        report.episode_length,
        report.profit,
        report.price,
    ]
}

/// Learners, one for all acting agents or one for each, bound to an engine's sizes.
#[pyclass(frozen, module = "vecmarket._core")]
pub struct Trainer {
    core: Mutex<Core>,
}

#[pymethods]
impl Trainer {
    /// `config` is a `PPOConfig`; each of `keys` is (actions, shuffles), one per learner.
    #[new]
    #[pyo3(signature = (engine, config, keys, *, threads=1))]
    fn new(engine: &Engine, config: Any<'_, '_>, keys: Vec<(u64, u64)>, threads: i64) -> PyResult<Self> {
        let layout = engine.lock()?.batch.layout();
        let plan = plan(config, layout.width, crate::bidding::ACTION_WIDTH)?;
        let learners = keys.iter().map(|_| Learner::new(plan.clone())).collect::<Result<_>>()?;
        let keys = keys.into_iter().map(|(actions, shuffles)| Keys { actions, shuffles }).collect();
        let course = trainer::Course {
            steps: config.getattr("rollout_steps")?.extract()?,
            decay: Decay {
                gamma: config.getattr("gamma")?.extract()?,
                lambda: config.getattr("gae_lambda")?.extract()?,
            },
            scales_rewards: config.getattr("normalise_rewards")?.extract()?,
            scales_steps: config.getattr("normalise_by_step")?.extract()?,
            scales_observations: config.getattr("normalise_observations")?.extract()?,
        };
        Ok(Self { core: Mutex::new(Core::new(learners, keys, course, layout, threads)?) })
    }

    /// Sets a learner's parameters, in the order of the torch module's: log_std, actor, critic.
    fn set_parameters(&self, learner: usize, parameters: Floats<'_>) -> PyResult<()> {
        Ok(one(&mut *self.lock()?, learner)?.set_parameters(slice(&parameters)?)?)
    }

    /// Sets what Adam knows of a learner.
    fn set_moments(&self, learner: usize, first: Floats<'_>, second: Floats<'_>, steps: u64) -> PyResult<()> {
        Ok(one(&mut *self.lock()?, learner)?.set_moments(slice(&first)?, slice(&second)?, steps)?)
    }

    /// Sets the map of a learner's observations.
    fn set_scale(&self, learner: usize, centre: Floats<'_>, scale: Floats<'_>) -> PyResult<()> {
        Ok(one(&mut *self.lock()?, learner)?.set_scale(slice(&centre)?, slice(&scale)?)?)
    }

    /// Sets the bounds that a learner's actions are cut to before they are played.
    fn set_bounds(&self, learner: usize, low: Floats<'_>, high: Floats<'_>) -> PyResult<()> {
        Ok(one(&mut *self.lock()?, learner)?.set_bounds(slice(&low)?, slice(&high)?)?)
    }

    /// The map of a learner's observations: centre and scale, (F,) each.
    fn scale<'py>(&self, py: Python<'py>, learner: usize) -> PyResult<(Vec1<'py, f32>, Vec1<'py, f32>)> {
        let mut core = self.lock()?;
        let learner = one(&mut core, learner)?;
        let scale: Vec<f32> = learner.factor.iter().map(|factor| 1.0 / factor).collect();
        Ok((learner.centre.clone().into_pyarray(py), scale.into_pyarray(py)))
    }

    /// A learner's parameters and what Adam knows.
    fn learner<'py>(&self, py: Python<'py>, learner: usize) -> PyResult<LearnerState<'py>> {
        let mut core = self.lock()?;
        let learner = one(&mut core, learner)?;
        let array = |lines: &[crate::nn::Line]| learner.brain.unpack(lines).into_pyarray(py);
        let moments = &learner.moments;
        Ok((array(&learner.packed), array(&moments.first), array(&moments.second), moments.steps))
    }

    /// What iterations depend on beside the learners and the environments.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let core = self.lock()?;
        let dict = PyDict::new(py);
        dict.set_item("iteration", core.iteration)?;
        dict.set_item("returns", core.running.returns.clone().into_pyarray(py))?;
        dict.set_item("lengths", core.running.lengths.clone().into_pyarray(py))?;
        dict.set_item("discounted", core.discounted.clone().into_pyarray(py))?;
        dict.set_item("scales", core.scales.iter().map(numbers).collect::<Vec<_>>())?;
        let seen: Vec<Vec<_>> = core.seen.iter().map(|seen| seen.iter().map(numbers).collect()).collect();
        dict.set_item("seen", seen)?;
        Ok(dict)
    }

    /// Goes on from another trainer's `progress`.
    fn set_progress(&self, progress: &Bound<'_, PyDict>) -> PyResult<()> {
        let get = |name: &str| {
            let missing = || Error::value("progress", format!("must have {name:?}"));
            Ok::<_, PyErr>(progress.get_item(name)?.ok_or_else(missing)?)
        };
        let iteration: u64 = get("iteration")?.extract()?;
        let (returns, lengths): (Vec<f64>, Vec<u32>) = (get("returns")?.extract()?, get("lengths")?.extract()?);
        let discounted: Vec<f32> = get("discounted")?.extract()?;
        let scales: Vec<Three> = get("scales")?.extract()?;
        let seen: Vec<Vec<Three>> = get("seen")?.extract()?;
        let mut core = self.lock()?;
        let (rows, learners) = (core.discounted.len(), core.scales.len());
        if (returns.len(), lengths.len(), discounted.len(), scales.len()) != (rows, rows, rows, learners) {
            let reason = format!("must be of {rows} rows and {learners} learners");
            return Err(Error::value("progress", reason).into());
        }
        let features: Vec<usize> = core.seen.iter().map(Vec::len).collect();
        if seen.iter().map(Vec::len).collect::<Vec<_>>() != features {
            let reason = format!("must have moments of {features:?} observed features");
            return Err(Error::value("progress: seen", reason).into());
        }
        core.iteration = iteration;
        core.set_seen(seen.into_iter().map(|seen| seen.into_iter().map(moments).collect()).collect());
        core.running = Running { returns, lengths };
        core.discounted = discounted;
        core.scales = scales.into_iter().map(moments).collect();
        Ok(())
    }

    /// What happened in the last iteration, copied; arrays (M, T, ...).
    fn record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let core = self.lock()?;
        let record = &core.record;
        let (rows, steps) = (record.rows, record.steps);
        let dict = PyDict::new(py);
        let put = |name: &str, x: &[f32], shape: &[usize]| {
            dict.set_item(name, x.to_vec().into_pyarray(py).reshape(shape.to_vec())?)
        };
        put("observations", &record.observations, &[rows, steps, record.features])?;
        put("actions", &record.actions, &[rows, steps, crate::bidding::ACTION_WIDTH])?;
        put("log_probs", &record.log_probs, &[rows, steps])?;
        put("values", &record.values, &[rows, steps])?;
        put("last_values", &record.last_values, &[rows, steps])?;
        put("next_values", &record.next_values, &[rows])?;
        put("rewards", &record.rewards, &[rows, steps])?;
        put("advantages", core.advantages(), &[rows, steps])?;
        for (name, flags) in [("terminated", &record.terminated), ("truncated", &record.truncated)] {
            dict.set_item(name, flags.clone().into_pyarray(py).reshape([rows, steps])?)?;
        }
        Ok(dict)
    }

    /// Plays the steps of an iteration without learning from them; the next ones draw other noise.
    fn play(&self, py: Python<'_>, engine: &Engine) -> PyResult<()> {
        let mut core = self.lock()?;
        let mut stepper = engine.lock()?;
        let (core, Stepper { batch, buffers }) = (&mut *core, &mut *stepper);
        buffers.write(py, |out, _| {
            detached(py, || {
                core.play(batch, out)?;
                core.iteration += 1;
                Ok(())
            })
        })?;
        Ok(())
    }
}

/// Count, mean and variance.
type Three = (f64, f64, f64);

fn numbers(moments: &Moments) -> Three {
    (moments.count, moments.mean, moments.variance)
}

fn moments((count, mean, variance): Three) -> Moments {
    Moments { count, mean, variance }
}

impl Trainer {
    fn lock(&self) -> Result<MutexGuard<'_, Core>> {
        self.core.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => Error::Runtime("trainer is already training in another thread".into()),
            TryLockError::Poisoned(_) => Error::Runtime("trainer: unusable after an internal error".into()),
        })
    }
}

/// Takes iterations of every trainer in its engine. `settings` has for each trainer one entry per iteration: learning rate,
/// and log standard deviation where it is given. Several trainers share `threads`, an iteration of one at a time; what they
/// come to does not depend on that. Returns (trainers, iterations, learners, figures) as nested lists.
#[pyfunction]
#[pyo3(signature = (trainers, engines, config, settings, *, threads=1))]
pub fn train(
    py: Python<'_>,
    trainers: Vec<PyRef<'_, Trainer>>,
    engines: Vec<PyRef<'_, Engine>>,
    config: Any<'_, '_>,
    settings: Vec<Vec<(f64, Option<f32>)>>,
    threads: i64,
) -> PyResult<Vec<Vec<Vec<Vec<f64>>>>> {
    for (name, count) in [("engines", engines.len()), ("settings", settings.len())] {
        if trainers.len() != count {
            let reason = format!("must be one per trainer, {}, got {count}", trainers.len());
            return Err(Error::value(name, reason).into());
        }
    }
    let pool = Pool::new(threads)?;
    let mut held = Vec::with_capacity(trainers.len());
    for ((trainer, engine), rates) in trainers.iter().zip(&engines).zip(&settings) {
        let course = rates.iter().map(|(rate, spread)| Ok((read_settings(config, *rate)?, *spread)));
        held.push((trainer.lock()?, engine.lock()?, course.collect::<PyResult<Course>>()?));
    }
    let reports = nest(py, &mut held, Vec::new(), &pool)?;
    let lists = |all: Reports| all.iter().map(|of| of.iter().map(|r| figures(r).to_vec()).collect()).collect();
    Ok(reports.into_iter().map(lists).collect())
}

/// Settings of each iteration, and the log standard deviation where it is given.
type Course = Vec<(Settings, Option<f32>)>;

/// Borrows the buffers of one engine after the other, and then trains.
fn nest<'a>(
    py: Python<'_>,
    rest: &'a mut [(MutexGuard<'_, Core>, MutexGuard<'_, Stepper>, Course)],
    ready: Vec<Job<'a>>,
    pool: &Pool,
) -> Result<Vec<Reports>> {
    let Some(((core, stepper, course), rest)) = rest.split_first_mut() else {
        return detached(py, || together(ready, pool));
    };
    let Stepper { batch, buffers } = &mut **stepper;
    let index = ready.len();
    buffers.write(py, move |out, _| {
        let mut ready: Vec<Job<'_>> = ready;
        ready.push(Job { index, core, batch, out, course, reports: Vec::with_capacity(course.len()) });
        nest(py, rest, ready, pool)
    })
}

/// A trainer on its way.
struct Job<'a> {
    index: usize,
    core: &'a mut Core,
    batch: &'a mut Batch,
    out: Outputs<'a>,
    course: &'a Course,
    reports: Reports,
}

/// Takes turns: each thread takes a trainer, trains it for an iteration, and puts it back behind the others.
fn together(jobs: Vec<Job<'_>>, pool: &Pool) -> Result<Vec<Reports>> {
    let count = jobs.len();
    let waiting = Mutex::new(VecDeque::from(jobs));
    let done: Mutex<Vec<(usize, Result<Reports>)>> = Mutex::new(Vec::new());
    pool.share(pool.threads().min(count), &|| {
        loop {
            let Some(mut job) = own(&waiting).pop_front() else { break };
            let result = match job.course.get(job.reports.len()) {
                Some((settings, spread)) => job.core.iterate(job.batch, job.out.reborrow(), settings, *spread),
                None => {
                    own(&done).push((job.index, Ok(job.reports)));
                    continue;
                }
            };
            match result {
                Ok(reports) => {
                    job.reports.push(reports);
                    own(&waiting).push_back(job);
                }
                Err(error) => own(&done).push((job.index, Err(error))),
            }
        }
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, reports)| reports).collect()
}

/// Names of the figures of `train`, in their order.
#[pyfunction]
pub fn training_figures() -> Vec<&'static str> {
    FIGURES.to_vec()
}

/// The gradient of PPO's loss over samples as one minibatch, in the order of the torch module, and the losses: policy,
/// value, divergence, share of clipped ratios. For tests against another implementation.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn ppo_gradient<'py>(
    py: Python<'py>,
    config: Any<'_, 'py>,
    parameters: Floats<'py>,
    observations: &Bound<'py, PyArrayDyn<f32>>,
    actions: &Bound<'py, PyArrayDyn<f32>>,
    log_probs: Floats<'py>,
    advantages: Floats<'py>,
    values: Floats<'py>,
    threads: i64,
) -> PyResult<(Vec1<'py, f32>, [f64; 4])> {
    let (observations, actions) = (observations.try_readonly(), actions.try_readonly());
    let (observations, actions) = (observations.map_err(unusable)?, actions.map_err(unusable)?);
    let rows = slice(&advantages)?.len();
    let width = |x: &[f32]| x.len() / rows.max(1);
    let (seen, done) = (observations.as_slice().map_err(unusable)?, actions.as_slice().map_err(unusable)?);
    let mut learner = Learner::new(plan(config, width(seen), width(done))?)?;
    learner.set_parameters(slice(&parameters)?)?;
    let given = slice(&advantages)?.iter().zip(slice(&values)?);
    let returns: Vec<f32> = given.map(|(advantage, value)| advantage + value).collect();
    let samples = Samples {
        observations: seen,
        actions: done,
        log_probs: slice(&log_probs)?,
        advantages: slice(&advantages)?,
        returns: &returns,
        values: slice(&values)?,
        steps: 1,
        first: 0,
        stride: 1,
    };
    samples.check(&learner.brain)?;
    let pool = Pool::new(threads)?;
    let settings = read_settings(config, 0.0)?;
    let mut updater = Updater::new(&learner.brain, pool.threads());
    let (gradient, losses) = updater.gradient_of(Simd::get()?, &pool, &learner, samples, &settings)?;
    Ok((gradient.into_pyarray(py), losses))
}

fn plan(config: Any<'_, '_>, features: usize, actions: usize) -> PyResult<Plan> {
    let activation: String = config.getattr("activation")?.extract()?;
    Ok(Plan {
        features,
        actions,
        hidden: config.getattr("hidden")?.extract()?,
        activation: Activation::parse("ppo.activation", &activation)?,
        learns_spread: config.getattr("final_log_std")?.is_none(),
    })
}

fn read_settings(config: Any<'_, '_>, learning_rate: f64) -> PyResult<Settings> {
    Ok(Settings {
        epochs: config.getattr("epochs")?.extract()?,
        minibatches: config.getattr("minibatches")?.extract()?,
        learning_rate,
        clip_range: config.getattr("clip_range")?.extract()?,
        value_clip_range: config.getattr("value_clip_range")?.extract()?,
        value_coefficient: config.getattr("value_coefficient")?.extract()?,
        entropy_coefficient: config.getattr("entropy_coefficient")?.extract()?,
        normalise_advantages: config.getattr("normalise_advantages")?.extract()?,
        max_gradient_norm: config.getattr("max_gradient_norm")?.extract()?,
        target_kl: config.getattr("target_kl")?.extract()?,
    })
}

fn one(core: &mut Core, learner: usize) -> Result<&mut Learner> {
    let count = core.learners.len();
    let missing = || Error::value("learner", format!("must be below {count}, got {learner}"));
    core.learners.get_mut(learner).ok_or_else(missing)
}

fn slice<'a>(array: &'a Floats<'_>) -> Result<&'a [f32]> {
    array.as_slice().map_err(|_| Error::wrong_type("array", "must be C-contiguous"))
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::wrong_type("array", error.to_string())
}

fn own<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
