//! `vecmarket._core.ReplayBuffer`: transitions in and out of numpy arrays.

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::given::{Given, Lent};
use super::{detached, extract};
use crate::error::{Error, Result};
use crate::replay::{self, Columns, Exponent, Key, Layout, Sample, Settings, Storage, Transitions};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

/// The arrays of a sample: observations, actions, rewards, next observations, terminated, truncated, indices, weights.
type Arrays<'py> = [Bound<'py, PyAny>; 8];

/// The last transitions of some environments.
#[pyclass(frozen, subclass, module = "vecmarket._core")]
pub struct ReplayBuffer {
    buffer: replay::ReplayBuffer,
}

#[pymethods]
impl ReplayBuffer {
    #[new]
    #[pyo3(
        signature = (capacity, obs_dim, action_dim, *, storage=None, alpha=None, epsilon=None, seed=None),
        text_signature = "(capacity, obs_dim, action_dim, *, storage='float32', alpha=None, epsilon=1e-06, seed=0)"
    )]
    #[expect(clippy::too_many_arguments, reason = "users name them")]
    fn new(
        py: Python<'_>,
        capacity: Any<'_, '_>,
        obs_dim: Any<'_, '_>,
        action_dim: Any<'_, '_>,
        storage: Option<Any<'_, '_>>,
        alpha: Option<Any<'_, '_>>,
        epsilon: Option<Any<'_, '_>>,
        seed: Option<Any<'_, '_>>,
    ) -> PyResult<Self> {
        let capacity = count(capacity, "capacity")?;
        let (observation, action) = (count(obs_dim, "obs_dim")?, count(action_dim, "action_dim")?);
        let name = storage.map_or(Ok("float32".into()), |storage| extract::text(storage, "storage"))?;
        let storage = Storage::parse("storage", &name)?;
        let alpha = alpha.map(|alpha| extract::real(alpha, "alpha")).transpose()?;
        let epsilon = epsilon.map_or(Ok(1e-6), |epsilon| extract::real(epsilon, "epsilon"))?;
        let seed = seed.map_or(Ok(0), |seed| extract::seed(seed, "seed"))?;
        let exponent = alpha.map(|alpha| Exponent { alpha, epsilon });
        let settings = Settings { capacity, layout: Layout { observation, action, storage }, exponent };
        let buffer = detached(py, || replay::ReplayBuffer::new(settings, seed))?;
        Ok(Self { buffer })
    }

    /// Adds transitions from arrays of exactly the right dtypes, C-contiguous.
    #[pyo3(signature = (observations, actions, rewards, next_observations, terminated, truncated=None))]
    #[expect(clippy::too_many_arguments, reason = "users name them")]
    fn add(
        &self,
        py: Python<'_>,
        observations: Any<'_, '_>,
        actions: Any<'_, '_>,
        rewards: Any<'_, '_>,
        next_observations: Any<'_, '_>,
        terminated: Any<'_, '_>,
        truncated: Option<Any<'_, '_>>,
    ) -> PyResult<()> {
        let Layout { observation, action, .. } = self.buffer.settings().layout;
        let rows = leading(observations, "observations", observation)?;
        let (wide, long) = ([rows, observation], [rows]);
        let observations = Given::new("observations", observations, &wide, "(N, obs_dim)")?;
        let actions = Given::new("actions", actions, &[rows, action], "(N, action_dim)")?;
        let rewards = Given::new("rewards", rewards, &long, "(N,)")?;
        let next_observations = Given::new("next_observations", next_observations, &wide, "(N, obs_dim)")?;
        let terminated = Given::new("terminated", terminated, &long, "(N,)")?;
        let truncated = truncated.filter(|flags| !flags.is_none());
        let truncated = truncated.map(|flags| Given::new("truncated", flags, &long, "(N,)")).transpose()?;
        let rows = Transitions {
            observations: observations.slice()?,
            actions: actions.slice()?,
            rewards: rewards.slice()?,
            next_observations: next_observations.slice()?,
            terminated: terminated.slice()?,
            truncated: truncated.as_ref().map(Given::slice).transpose()?,
        };
        Ok(detached(py, || self.buffer.add(rows))?)
    }

    /// Draws as many rows as the arrays have room for: (B, obs_dim), (B, action_dim), (B,), (B, obs_dim) float32, (B,) and
    /// (B,) bool, (B,) int64 and (B,) float32. Returns the number of the draw.
    #[pyo3(signature = (out, *, seed=None, draw=None, beta=None))]
    fn sample_into(
        &self,
        py: Python<'_>,
        out: Any<'_, '_>,
        seed: Option<Any<'_, '_>>,
        draw: Option<Any<'_, '_>>,
        beta: Option<Any<'_, '_>>,
    ) -> PyResult<u64> {
        let Layout { observation, action, .. } = self.buffer.settings().layout;
        let key = Key {
            seed: seed.map(|seed| extract::seed(seed, "seed")).transpose()?,
            draw: draw.map(|draw| extract::seed(draw, "draw")).transpose()?,
        };
        let beta = beta.map_or(Ok(1.0), |beta| extract::real(beta, "beta"))?;
        let [observations, actions, rewards, next_observations, terminated, truncated, indices, weights]: Arrays<'_> =
            out.extract().map_err(|_| extract::wrong_type("out", "the eight arrays of a sample", out))?;
        let rows = leading(&observations, "out.observations", observation)?;
        let (wide, long) = ([rows, observation], [rows]);
        let mut observations = Lent::new("out.observations", &observations, &wide, "(B, obs_dim)")?;
        let mut actions = Lent::new("out.actions", &actions, &[rows, action], "(B, action_dim)")?;
        let mut rewards = Lent::new("out.rewards", &rewards, &long, "(B,)")?;
        let mut next_observations = Lent::new("out.next_observations", &next_observations, &wide, "(B, obs_dim)")?;
        let mut terminated = Lent::new("out.terminated", &terminated, &long, "(B,)")?;
        let mut truncated = Lent::new("out.truncated", &truncated, &long, "(B,)")?;
        let mut indices = Lent::new("out.indices", &indices, &long, "(B,)")?;
        let mut weights = Lent::new("out.weights", &weights, &long, "(B,)")?;
        let sample = Sample {
            columns: Columns {
                observations: observations.slice()?,
                actions: actions.slice()?,
                rewards: rewards.slice()?,
                next_observations: next_observations.slice()?,
                terminated: terminated.slice()?,
                truncated: truncated.slice()?,
            },
            rows: indices.slice()?,
            weights: weights.slice()?,
        };
        Ok(detached(py, || self.buffer.sample(key, beta, sample))?)
    }

    /// Gives rows new priorities; returns how many of them were still there.
    fn update_priorities(&self, py: Python<'_>, indices: Any<'_, '_>, priorities: Any<'_, '_>) -> PyResult<usize> {
        let rows = leading(indices, "indices", 0)?;
        let indices = Given::new("indices", indices, &[rows], "(B,)")?;
        let priorities = Given::new("priorities", priorities, &[rows], "(B,)")?;
        let (indices, priorities) = (indices.slice()?, priorities.slice()?);
        Ok(detached(py, || self.buffer.update_priorities(indices, priorities))?)
    }

    /// The whole state as bytes.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = detached(py, || self.buffer.snapshot())?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes the state of a buffer that was made with the same settings.
    fn restore(&self, py: Python<'_>, state: Any<'_, '_>) -> PyResult<()> {
        let bytes = state.cast::<PyBytes>().map_err(|_| extract::wrong_type("state", "bytes", state))?.as_bytes();
        Ok(detached(py, || self.buffer.restore(bytes))?)
    }

    // What has to wait for a writer waits without the interpreter lock.

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(detached(py, || self.buffer.len())?)
    }
    #[getter]
    fn added(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(detached(py, || self.buffer.written())?)
    }
    #[getter]
    fn seed(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(detached(py, || self.buffer.seed())?)
    }
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(detached(py, || self.buffer.bytes())?)
    }
    #[getter]
    fn draws(&self) -> u64 {
        self.buffer.draws()
    }
    #[getter]
    fn capacity(&self) -> usize {
        self.buffer.settings().capacity
    }
    #[getter]
    fn obs_dim(&self) -> usize {
        self.buffer.settings().layout.observation
    }
    #[getter]
    fn action_dim(&self) -> usize {
        self.buffer.settings().layout.action
    }
    #[getter]
    fn storage(&self) -> &'static str {
        self.buffer.settings().layout.storage.name()
    }
    #[getter]
    fn alpha(&self) -> Option<f64> {
        self.buffer.settings().exponent.map(|exponent| exponent.alpha)
    }
    #[getter]
    fn epsilon(&self) -> Option<f64> {
        self.buffer.settings().exponent.map(|exponent| exponent.epsilon)
    }
}

/// A whole number, at least 1.
fn count(value: Any<'_, '_>, name: &str) -> Result<usize> {
    let number = extract::integer(value, name)?;
    usize::try_from(number)
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| Error::value(name, format!("must be at least 1, got {number}")))
}

/// Rows of an array with so many columns; 0 is for an array without any.
fn leading(array: Any<'_, '_>, name: &str, columns: usize) -> Result<usize> {
    let given = array.cast::<PyUntypedArray>().map_err(|_| extract::wrong_type(name, "an array", array))?;
    match (given.shape(), columns) {
        (&[rows], 0) => Ok(rows),
        (&[rows, given], columns) if given == columns => Ok(rows),
        (shape, 0) => Err(Error::value(name, format!("must have one dimension, got shape {shape:?}"))),
        (shape, columns) => Err(Error::value(name, format!("must have shape (N, {columns}), got {shape:?}"))),
    }
}
