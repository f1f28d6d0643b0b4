//! The arrays of a rollout: those of `advance`, and what the policies saw and did.

use std::sync::Arc;

use numpy::{Element, PyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::buffers::{Buffers, Floats};
use super::given::Lent;
use crate::batch::Layout;
use crate::bidding::ACTION_WIDTH;
use crate::error::Result;
use crate::follow::Moves;
use crate::step::Outputs;

/// Made once for a number of steps.
pub struct Rollout {
    pub steps: usize,
    pub results: Arc<Buffers>,
    observations: Floats,
    actions: Floats,
    log_probs: Floats,
}

impl Rollout {
    pub fn new(py: Python<'_>, layout: Layout, steps: usize) -> PyResult<Self> {
        layout.check_size(steps)?;
        let [rows, observations, actions] = shapes(layout, steps);
        Ok(Self {
            steps,
            results: Arc::new(Buffers::new(py, layout, Some(steps))?),
            observations: zeros(py, &observations)?,
            actions: zeros(py, &actions)?,
            log_probs: zeros(py, &rows)?,
        })
    }

    /// Borrows every array for writing and hands out their memory.
    pub fn write<R>(&self, py: Python<'_>, work: impl FnOnce(Moves<'_>, Outputs<'_>) -> Result<R>) -> Result<R> {
        let [rows, observations, actions] = shapes(self.results.layout, self.steps);
        let lend = |name, array: &Floats, shape: &[usize]| Lent::new(name, array.bind(py), shape, "its own");
        let mut observations = lend("engine.rollout: observations", &self.observations, &observations)?;
        let mut actions = lend("engine.rollout: actions", &self.actions, &actions)?;
        let mut log_probs = lend("engine.rollout: log_probs", &self.log_probs, &rows)?;
        let moves =
            Moves { observations: observations.slice()?, actions: actions.slice()?, log_probs: log_probs.slice()? };
        self.results.write(py, |out, _| work(moves, out))
    }

    /// All arrays by name.
    pub fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = self.results.as_dict(py)?;
        dict.set_item("next_observations", self.results.observations.show(py))?;
        dict.set_item("observations", &self.observations)?;
        dict.set_item("actions", &self.actions)?;
        dict.set_item("log_probs", &self.log_probs)?;
        Ok(dict)
    }
}

/// Of what there is one of per acting agent, of their observations, and of their actions.
fn shapes(layout: Layout, steps: usize) -> [Vec<usize>; 3] {
    let Layout { envs, acting, width, .. } = layout;
    [vec![steps, envs, acting], vec![steps, envs, acting, width], vec![steps, envs, acting, ACTION_WIDTH]]
}

/// By numpy itself, whose MemoryError reaches the caller.
fn zeros(py: Python<'_>, shape: &[usize]) -> PyResult<Floats> {
    let array = py.import("numpy")?.call_method1("zeros", (shape, f32::get_dtype(py)))?;
    Ok(array.cast_into::<PyArrayDyn<f32>>()?.unbind())
}
