//! The numpy arrays that the engine writes into: made once, borrowed per call, never copied.

use numpy::{BorrowError, Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::batch::Layout;
use crate::error::{Error, Result};
use crate::snapshot::LastStep;
use crate::step::Outputs;

/// A float32 array.
pub type Floats = Py<PyArrayDyn<f32>>;
/// A float64 array.
pub type Doubles = Py<PyArrayDyn<f64>>;
/// A bool array.
pub type Flags = Py<PyArrayDyn<bool>>;

/// One array per output; see [`Outputs`] for the shapes, here with an optional leading k.
pub struct Buffers {
    pub layout: Layout,
    pub observations: Floats,
    pub final_observations: Floats,
    pub rewards: Floats,
    pub terminated: Flags,
    pub truncated: Flags,
    pub prices: Doubles,
    pub demand: Doubles,
    pub unserved: Doubles,
    pub dispatch: Doubles,
    pub profits: Doubles,
}

impl Buffers {
    /// Zeroed arrays, with a leading dimension of `steps` if given.
    pub fn new(py: Python<'_>, layout: Layout, steps: Option<usize>) -> PyResult<Self> {
        let Layout { envs, agents, acting, width } = layout;
        Ok(Self {
            layout,
            observations: zeros(py, steps, &[envs, acting, width])?,
            final_observations: zeros(py, steps, &[envs, acting, width])?,
            rewards: zeros(py, steps, &[envs, acting])?,
            terminated: zeros(py, steps, &[envs])?,
            truncated: zeros(py, steps, &[envs])?,
            prices: zeros(py, steps, &[envs])?,
            demand: zeros(py, steps, &[envs])?,
            unserved: zeros(py, steps, &[envs])?,
            dispatch: zeros(py, steps, &[envs, agents])?,
            profits: zeros(py, steps, &[envs, agents])?,
        })
    }

    /// Borrows every array for writing and hands out their memory.
    pub fn write<R>(&self, py: Python<'_>, work: impl FnOnce(Outputs<'_>) -> Result<R>) -> Result<R> {
        let mut observations = writable(py, &self.observations, "observations")?;
        let mut final_observations = writable(py, &self.final_observations, "final_observations")?;
        let mut rewards = writable(py, &self.rewards, "rewards")?;
        let mut terminated = writable(py, &self.terminated, "terminated")?;
        let mut truncated = writable(py, &self.truncated, "truncated")?;
        let mut prices = writable(py, &self.prices, "prices")?;
        let mut demand = writable(py, &self.demand, "demand")?;
        let mut unserved = writable(py, &self.unserved, "unserved")?;
        let mut dispatch = writable(py, &self.dispatch, "dispatch")?;
        let mut profits = writable(py, &self.profits, "profits")?;
        work(Outputs {
            observations: slice_mut(&mut observations, "observations")?,
            final_observations: slice_mut(&mut final_observations, "final_observations")?,
            rewards: slice_mut(&mut rewards, "rewards")?,
            terminated: slice_mut(&mut terminated, "terminated")?,
            truncated: slice_mut(&mut truncated, "truncated")?,
            prices: slice_mut(&mut prices, "prices")?,
            demand: slice_mut(&mut demand, "demand")?,
            unserved: slice_mut(&mut unserved, "unserved")?,
            dispatch: slice_mut(&mut dispatch, "dispatch")?,
            profits: slice_mut(&mut profits, "profits")?,
        })
    }

    /// A copy of all but the observations.
    pub fn last_step(&self, py: Python<'_>) -> Result<LastStep> {
        Ok(LastStep {
            rewards: copied(py, &self.rewards, "rewards")?,
            terminated: copied(py, &self.terminated, "terminated")?,
            truncated: copied(py, &self.truncated, "truncated")?,
            prices: copied(py, &self.prices, "prices")?,
            demand: copied(py, &self.demand, "demand")?,
            unserved: copied(py, &self.unserved, "unserved")?,
            dispatch: copied(py, &self.dispatch, "dispatch")?,
            profits: copied(py, &self.profits, "profits")?,
        })
    }

    /// Takes what belongs to markets, not to acting agents, from buffers of another number of acting agents.
    pub fn copy_markets_of(&self, py: Python<'_>, other: &Self) -> Result<()> {
        let mut last = other.last_step(py)?;
        last.rewards = vec![0.0; self.layout.envs * self.layout.acting];
        self.write(py, |mut out| {
            last.write(&mut out);
            Ok(())
        })
    }

    /// The arrays by name.
    pub fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("observations", &self.observations)?;
        dict.set_item("final_observations", &self.final_observations)?;
        dict.set_item("rewards", &self.rewards)?;
        dict.set_item("terminated", &self.terminated)?;
        dict.set_item("truncated", &self.truncated)?;
        dict.set_item("prices", &self.prices)?;
        dict.set_item("demand", &self.demand)?;
        dict.set_item("unserved", &self.unserved)?;
        dict.set_item("dispatch", &self.dispatch)?;
        dict.set_item("profits", &self.profits)?;
        Ok(dict)
    }
}

/// By numpy itself, whose MemoryError reaches the caller.
fn zeros<T: Element>(py: Python<'_>, steps: Option<usize>, shape: &[usize]) -> PyResult<Py<PyArrayDyn<T>>> {
    let shape: Vec<usize> = steps.iter().chain(shape).copied().collect();
    let shape = PyTuple::new(py, shape)?;
    let array = py.import("numpy")?.call_method1("zeros", (shape, T::get_dtype(py)))?;
    Ok(array.cast_into::<PyArrayDyn<T>>()?.unbind())
}

fn unusable(name: &str, error: BorrowError) -> Error {
    Error::Runtime(format!("engine.{name}: cannot be borrowed: {error}"))
}

fn writable<'py, T: Element>(
    py: Python<'py>,
    array: &Py<PyArrayDyn<T>>,
    name: &str,
) -> Result<PyReadwriteArrayDyn<'py, T>> {
    array.bind(py).try_readwrite().map_err(|e| unusable(name, e))
}

fn slice_mut<'a, T: Element>(array: &'a mut PyReadwriteArrayDyn<'_, T>, name: &str) -> Result<&'a mut [T]> {
    array.as_slice_mut().map_err(|e| Error::Runtime(format!("engine.{name}: {e}")))
}

fn copied<T: Element + Copy>(py: Python<'_>, array: &Py<PyArrayDyn<T>>, name: &str) -> Result<Vec<T>> {
    let borrowed: PyReadonlyArrayDyn<'_, T> = array.bind(py).try_readonly().map_err(|e| unusable(name, e))?;
    Ok(borrowed.as_array().iter().copied().collect())
}
