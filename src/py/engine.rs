//! `vecmarket._core.Engine`: the batch behind numpy buffers.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::buffers::{Buffers, Doubles, Flags, Floats};
use super::given::{self, Actions};
use super::moves::Rollout;
use super::stepper::Stepper;
use super::{detached, extract};
use crate::batch::{Batch, Layout, Resets};
use crate::bidding::ACTION_WIDTH;
use crate::error::{Error, Result};
use crate::observers;
use crate::scenario::Scenario;
use crate::shard::{Cells, SHARD};
use crate::step::Autoreset;

/// Steps of a rollout: more are a mistake, and what they need is not counted.
const MOST_STEPS: i64 = 1 << 20;

/// Two matrices, one entry per environment or seat and column.
type Pair<'py, T> = (Bound<'py, PyArray2<T>>, Bound<'py, PyArray2<T>>);
/// Steps, hours and episodes.
type Clock<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

/// N independent markets stepped together.
#[pyclass(frozen, subclass, module = "vecmarket._core")]
pub struct Engine {
    stepper: Mutex<Stepper>,
    /// Those of the stepper, to be shown while it steps.
    buffers: Mutex<Arc<Buffers>>,
    /// The buffers of the last `advance`, with their k.
    advanced: Mutex<Option<(usize, Arc<Buffers>)>>,
    /// Those of the last `rollout`.
    rolled: Mutex<Option<Rollout>>,
    scenario: Arc<Scenario>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(
        signature = (scenario, num_envs, *, seed=None, threads=None, seats=None, max_episode_steps=None),
        text_signature = "(scenario, num_envs, *, seed=0, threads=0, seats=None, max_episode_steps=None)"
    )]
    fn new(
        py: Python<'_>,
        scenario: &Bound<'_, PyAny>,
        num_envs: &Bound<'_, PyAny>,
        seed: Option<&Bound<'_, PyAny>>,
        threads: Option<&Bound<'_, PyAny>>,
        seats: Option<&Bound<'_, PyAny>>,
        max_episode_steps: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let scenario = Arc::new(Scenario::compile(extract::spec(scenario)?)?);
        let seats = extract::seats(seats, scenario.agents())?;
        let num_envs = extract::integer(num_envs, "num_envs")?;
        let seed = seed.map_or(Ok(0), |seed| extract::seed(seed, "seed"))?;
        let threads = threads.map_or(Ok(0), |threads| extract::integer(threads, "threads"))?;
        let limit = max_episode_steps.map(|n| extract::integer(n, "max_episode_steps")).transpose()?;
        let mut batch = Batch::new(Arc::clone(&scenario), num_envs, seed, threads, seats)?;
        batch.set_limit(limit)?;
        let buffers = Arc::new(Buffers::new(py, batch.layout(), None)?);
        let shown = Mutex::new(Arc::clone(&buffers));
        Ok(Self {
            stepper: Mutex::new(Stepper { batch, buffers }),
            buffers: shown,
            advanced: Mutex::new(None),
            rolled: Mutex::new(None),
            scenario,
        })
    }

    /// Starts new episodes and returns the live observations.
    #[pyo3(signature = (seed=None, mask=None, start=None))]
    fn reset(
        &self,
        py: Python<'_>,
        seed: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Floats> {
        let mut guard = self.lock()?;
        let Stepper { batch, buffers } = &mut *guard;
        let envs = batch.layout().envs;
        let seeds = extract::seeds(seed, envs)?;
        let mask = mask.filter(|mask| !mask.is_none()).map(|mask| given::flags(mask, envs)).transpose()?;
        let starts = start.filter(|start| !start.is_none()).map(|start| given::starts(start, envs)).transpose()?;
        buffers.write(py, |out, _| {
            let resets = Resets { seeds: seeds.as_deref(), mask: mask.as_deref(), starts: starts.as_deref() };
            detached(py, || batch.reset(resets, out))
        })?;
        Ok(buffers.observations.show(py))
    }

    /// One step; `actions` is (N, L, 2) float32, C-contiguous. Returns live buffers.
    #[pyo3(signature = (actions, autoreset=None))]
    fn step(
        &self,
        py: Python<'_>,
        actions: &Bound<'_, PyAny>,
        autoreset: Option<&str>,
    ) -> PyResult<(Floats, Floats, Flags, Flags)> {
        let autoreset = mode(autoreset)?;
        let mut guard = self.lock()?;
        let layout = guard.batch.layout();
        let actions = Actions::new(actions, &[layout.envs, layout.acting, ACTION_WIDTH], "(N, L, 2)")?;
        guard.step(py, actions.slice()?, autoreset)?;
        let Buffers { observations, rewards, terminated, truncated, .. } = &*guard.buffers;
        Ok((observations.show(py), rewards.show(py), terminated.show(py), truncated.show(py)))
    }

    /// One step of environments whose caller keeps the buffers; `actions` is (N * L, 2). Returns whether it marks any
    /// environment as reset instead of stepped or, under "same_step", as ended; or None, and nothing is changed, when the actions are no C-contiguous float32 array of that shape.
    #[pyo3(signature = (actions, autoreset=None))]
    fn play(&self, py: Python<'_>, actions: &Bound<'_, PyAny>, autoreset: Option<&str>) -> PyResult<Option<bool>> {
        let autoreset = mode(autoreset)?;
        let mut guard = self.lock()?;
        let layout = guard.batch.layout();
        let Some(actions) = Actions::fitting(actions, &[layout.envs * layout.acting, ACTION_WIDTH])? else {
            return Ok(None);
        };
        Ok(Some(guard.step(py, actions.slice()?, autoreset)?))
    }

    /// k steps; `actions` is (k, N, L, 2) float32, C-contiguous. Returns live buffers by name, each with a leading k.
    #[pyo3(signature = (actions, autoreset=Some("same_step")), text_signature = "($self, actions, autoreset='same_step')")]
    fn advance<'py>(
        &self,
        py: Python<'py>,
        actions: &Bound<'py, PyAny>,
        autoreset: Option<&str>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let autoreset = mode(autoreset)?;
        let mut guard = self.lock()?;
        let Stepper { batch, buffers: live } = &mut *guard;
        let layout = batch.layout();
        let steps = given::leading(actions)?;
        let shape = [steps, layout.envs, layout.acting, ACTION_WIDTH];
        let actions = Actions::new(actions, &shape, "(k, N, L, 2)")?;
        let given = actions.slice()?;
        let mut advanced = self.advanced.try_lock().map_err(|_| busy())?;
        let all = match advanced.take() {
            Some((k, buffers)) if k == steps && buffers.layout == layout => buffers,
            _ => {
                layout.check_size(steps)?;
                Arc::new(Buffers::new(py, layout, Some(steps))?)
            }
        };
        *advanced = Some((steps, Arc::clone(&all)));
        // All arrays are borrowed before anything moves: what cannot be written must not leave half a call behind.
        live.write(py, |last, _| {
            all.write(py, |out, _| detached(py, || batch.advance(given, steps, autoreset, out, last)))
        })?;
        all.as_dict(py)
    }

    /// k steps that policies choose, one `_core.Policy` per acting agent. Returns live buffers by name, each with a
    /// leading k.
    #[pyo3(signature = (policies, steps, autoreset=Some("same_step")), text_signature = "($self, policies, steps, autoreset='same_step')")]
    fn rollout<'py>(
        &self,
        py: Python<'py>,
        policies: &Bound<'py, PyAny>,
        steps: &Bound<'py, PyAny>,
        autoreset: Option<&str>,
    ) -> PyResult<Bound<'py, PyDict>> {
        // A step that resets plays no action, and is nothing to learn from.
        let autoreset = match autoreset {
            None => Autoreset::Disabled,
            Some("same_step") => Autoreset::SameStep,
            Some(name) => {
                return Err(Error::value("autoreset", format!("must be \"same_step\" or None, got {name:?}")).into());
            }
        };
        let policies = extract::policies(policies, "policies")?;
        let steps = extract::integer(steps, "steps")?;
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(Error::value("steps", format!("must be in 1..{MOST_STEPS}, got {steps}")).into());
        }
        let steps = steps as usize;
        let mut guard = self.lock()?;
        let Stepper { batch, buffers: live } = &mut *guard;
        let layout = batch.layout();
        let mut rolled = self.rolled.try_lock().map_err(|_| busy())?;
        let rollout = match rolled.take() {
            Some(rollout) if rollout.steps == steps && rollout.results.layout == layout => rollout,
            _ => Rollout::new(py, layout, steps)?,
        };
        let rollout = rolled.insert(rollout);
        live.write(py, |last, _| {
            rollout.write(py, |moves, out| detached(py, || batch.follow(&policies, steps, autoreset, moves, out, last)))
        })?;
        rollout.as_dict(py)
    }

    /// The whole state as bytes.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let guard = self.lock()?;
        let Stepper { batch, buffers } = &*guard;
        let last = buffers.last_step(py)?;
        let bytes = detached(py, || batch.snapshot(last))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes the state of a snapshot of the same scenario.
    fn restore(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = state.cast::<PyBytes>().map_err(|_| extract::wrong_type("state", "bytes", state))?.as_bytes();
        let mut guard = self.lock()?;
        let Stepper { batch, buffers } = &mut *guard;
        buffers.write(py, |mut out, _| {
            detached(py, || {
                let last = batch.restore(bytes)?;
                last.write(&mut out);
                batch.observe(out)
            })
        })?;
        Ok(())
    }

    /// Changes who plays whom: one seat per agent, "acts", "truthful", a number (a fixed markup in $/MWh), a policy or a
    /// pool of them.
    #[pyo3(signature = (seats))]
    fn set_seats(&self, py: Python<'_>, seats: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let mut guard = self.lock()?;
        let Stepper { batch, buffers } = &mut *guard;
        let seats = extract::seats(seats, batch.layout().agents)?;
        let same = seats.acting() == batch.seats().acting();
        let layout = Layout { acting: seats.acting().len(), ..batch.layout() };
        let fresh = if same { Arc::clone(buffers) } else { Arc::new(Buffers::new(py, layout, None)?) };
        if !same {
            fresh.copy_markets_of(py, buffers)?;
        }
        fresh.write(py, |out, _| {
            detached(py, || {
                batch.set_seats(seats)?;
                batch.observe(out)
            })
        })?;
        *self.buffers.lock().map_err(|_| busy())? = Arc::clone(&fresh);
        *buffers = fresh;
        Ok(())
    }

    #[getter]
    fn num_envs(&self) -> PyResult<usize> {
        Ok(self.lock()?.batch.layout().envs)
    }
    #[getter]
    fn num_agents(&self) -> usize {
        self.scenario.agents()
    }
    #[getter]
    fn num_features(&self) -> usize {
        self.scenario.width
    }
    #[getter]
    fn horizon(&self) -> u32 {
        self.scenario.horizon
    }
    #[getter]
    fn threads(&self) -> PyResult<usize> {
        Ok(self.lock()?.batch.threads())
    }
    #[getter]
    fn agents(&self) -> Vec<String> {
        self.scenario.spec.generators.iter().map(|g| g.name.clone()).collect()
    }
    #[getter]
    fn feature_names(&self) -> Vec<String> {
        self.scenario.labels()
    }
    #[getter]
    fn acting(&self) -> PyResult<Vec<usize>> {
        Ok(self.lock()?.batch.seats().acting().to_vec())
    }
    #[getter]
    fn observations(&self, py: Python<'_>) -> PyResult<Floats> {
        Ok(self.buffers()?.observations.show(py))
    }
    #[getter]
    fn final_observations(&self, py: Python<'_>) -> PyResult<Floats> {
        Ok(self.buffers()?.final_observations.show(py))
    }
    #[getter]
    fn rewards(&self, py: Python<'_>) -> PyResult<Floats> {
        Ok(self.buffers()?.rewards.show(py))
    }
    #[getter]
    fn terminated(&self, py: Python<'_>) -> PyResult<Flags> {
        Ok(self.buffers()?.terminated.show(py))
    }
    #[getter]
    fn truncated(&self, py: Python<'_>) -> PyResult<Flags> {
        Ok(self.buffers()?.truncated.show(py))
    }
    #[getter]
    fn prices(&self, py: Python<'_>) -> PyResult<Doubles> {
        Ok(self.buffers()?.prices.show(py))
    }
    #[getter]
    fn demand(&self, py: Python<'_>) -> PyResult<Doubles> {
        Ok(self.buffers()?.demand.show(py))
    }
    #[getter]
    fn unserved(&self, py: Python<'_>) -> PyResult<Doubles> {
        Ok(self.buffers()?.unserved.show(py))
    }
    #[getter]
    fn dispatch(&self, py: Python<'_>) -> PyResult<Doubles> {
        Ok(self.buffers()?.dispatch.show(py))
    }
    #[getter]
    fn profits(&self, py: Python<'_>) -> PyResult<Doubles> {
        Ok(self.buffers()?.profits.show(py))
    }

    /// The live arrays as views of their own: what a caller does to a view, such as making it read-only, is nothing to
    /// the engine, so a step need not look at it. "markets", (3, N), are prices, demand and unserved; "flags", (3, N),
    /// are terminated, truncated and what the last `play` marked.
    fn views<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.buffers()?.views(py)
    }

    /// Bounds of the acting agents' observations: low and high, (L, F) float32.
    fn observation_bounds<'py>(&self, py: Python<'py>) -> PyResult<Pair<'py, f32>> {
        let guard = self.lock()?;
        let batch = &guard.batch;
        let (low, high) = observers::bounds(batch.scenario(), batch.seats());
        let shape = [batch.layout().acting, batch.layout().width];
        Ok((low.into_pyarray(py).reshape(shape)?, high.into_pyarray(py).reshape(shape)?))
    }

    /// Keeps the offers of every step from now on, for `offers`: it takes time to write them to memory for every agent.
    fn keep_offers(&self) -> PyResult<()> {
        self.lock()?.batch.keep_offers();
        Ok(())
    }

    /// Last offers: prices, $/MWh, and quantities, MW, (N, A) each, of an engine that keeps them.
    fn offers<'py>(&self, py: Python<'py>) -> PyResult<Pair<'py, f64>> {
        let guard = self.lock()?;
        let batch = &guard.batch;
        let Layout { envs, agents, .. } = batch.layout();
        if !batch.knows_offers() {
            return Err(Error::Runtime(
                "engine: the last offers were not kept; call keep_offers() before the step".into(),
            )
            .into());
        }
        let gather = |kind: Cells| {
            let of_row = |env: usize| {
                let (shard, row) = (&batch.shards[env / SHARD], env % SHARD);
                (0..agents).map(move |agent| shard.cell(kind, row, agent))
            };
            let all: Vec<f64> = (0..envs).flat_map(of_row).collect();
            all.into_pyarray(py).reshape([envs, agents])
        };
        Ok((gather(Cells::OfferPrice)?, gather(Cells::OfferQuantity)?))
    }

    /// Capacities, MW, and SRMC, $/MWh, as drawn for the episode, (N, A) each.
    fn fleet<'py>(&self, py: Python<'py>) -> PyResult<Pair<'py, f64>> {
        let guard = self.lock()?;
        let batch = &guard.batch;
        let Layout { envs, agents, .. } = batch.layout();
        let slots = batch.scenario().slots();
        let (mut capacity, mut srmc) = (Vec::with_capacity(envs * agents), Vec::with_capacity(envs * agents));
        for env in 0..envs {
            let (numbers, row) = (&batch.shards[env / SHARD].numbers, env % SHARD);
            capacity.extend((0..agents).map(|agent| numbers.row(row, slots.capacity(agent))));
            srmc.extend((0..agents).map(|agent| numbers.row(row, slots.srmc(agent))));
        }
        let shape = [envs, agents];
        Ok((capacity.into_pyarray(py).reshape(shape)?, srmc.into_pyarray(py).reshape(shape)?))
    }

    /// Where each environment stands: steps taken, hour of the series that the next step clears, episode; (N,) each.
    fn clock<'py>(&self, py: Python<'py>) -> PyResult<Clock<'py>> {
        let guard = self.lock()?;
        let batch = &guard.batch;
        let rows = || batch.shards.iter().flat_map(|shard| (0..shard.rows()).map(|row| shard.head(row)));
        let t: Vec<i64> = rows().map(|(head, l)| i64::from(head.t[l])).collect();
        let hour: Vec<i64> = rows().map(|(head, l)| i64::from(head.t[l] + head.start[l])).collect();
        let episode: Vec<i64> = rows().map(|(head, l)| head.episode[l] as i64).collect();
        Ok((t.into_pyarray(py), hour.into_pyarray(py), episode.into_pyarray(py)))
    }
}

impl Engine {
    /// The stepper, unless another thread has it: a lock tried, not waited for.
    pub fn lock(&self) -> Result<MutexGuard<'_, Stepper>> {
        self.stepper.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => busy(),
            TryLockError::Poisoned(_) => Error::Runtime("engine: unusable after an internal error".into()),
        })
    }

    fn buffers(&self) -> Result<Arc<Buffers>> {
        Ok(Arc::clone(&*self.buffers.lock().map_err(|_| busy())?))
    }
}

fn busy() -> Error {
    Error::Runtime("engine is already stepping in another thread".into())
}

fn mode(autoreset: Option<&str>) -> Result<Autoreset> {
    autoreset.map_or(Ok(Autoreset::Disabled), |name| Autoreset::parse("autoreset", name))
}
