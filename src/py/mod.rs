//! The binding, and the only place that knows Python: extract, call, map the error.

mod buffers;
mod clear;
mod engine;
mod extract;
mod given;
mod moves;
mod policy;
mod replay;
mod stepper;
mod trainer;

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Error, Result};
use crate::nn::Activation;
use crate::observers::{Feature, PRESETS};
use crate::replay::Storage;
use crate::rewards::Term;
use crate::scenario::Scenario;
use crate::seats::Seat;
use crate::simd::{Level, Simd};
use crate::spec::{BiddingRule, EpisodeEnd, EpisodeStart, Kink, Pricing, Scarcity, TieBreak};
use crate::step::Autoreset;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Value { .. } => PyValueError::new_err(message),
            Error::Type { .. } => PyTypeError::new_err(message),
            Error::Runtime(_) => PyRuntimeError::new_err(message),
        }
    }
}

/// Runs work without the interpreter lock; a panic, which would be a bug of ours, becomes an error.
fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    py.detach(|| attached(work))
}

/// The same with the interpreter lock, for work that is done sooner than the lock would be back.
fn attached<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Runtime("internal error: please report it with the message above".into())))
}

/// Checks a scenario as far as building an engine from it would.
#[pyfunction]
fn check_scenario(scenario: &Bound<'_, PyAny>) -> PyResult<()> {
    Scenario::compile(extract::spec(scenario)?)?;
    Ok(())
}

/// The names of the numbers that an agent of a scenario is shown.
#[pyfunction]
fn feature_names(scenario: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    Ok(Scenario::compile(extract::spec(scenario)?)?.labels())
}

/// The names that users write, by where they write them.
#[pyfunction]
fn names(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let presets: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    dict.set_item("observation_presets", presets)?;
    dict.set_item("observation_features", Feature::names())?;
    dict.set_item("reward_terms", Term::NAMES)?;
    dict.set_item("bidding", BiddingRule::NAMES)?;
    dict.set_item("pricing", Pricing::NAMES)?;
    dict.set_item("kink", Kink::NAMES)?;
    dict.set_item("scarcity", Scarcity::NAMES)?;
    dict.set_item("tie_break", TieBreak::NAMES)?;
    dict.set_item("episode_end", EpisodeEnd::NAMES)?;
    dict.set_item("episode_start", EpisodeStart::NAMES)?;
    dict.set_item("autoreset", Autoreset::NAMES)?;
    dict.set_item("seats", Seat::NAMES)?;
    dict.set_item("replay_storage", Storage::NAMES)?;
    dict.set_item("activations", Activation::NAMES)?;
    Ok(dict)
}

/// How this core was built, and what the machine offers it.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("version", env!("CARGO_PKG_VERSION"))?;
    dict.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    dict.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    dict.set_item("cores", std::thread::available_parallelism().map_or(1, usize::from))?;
    dict.set_item("simd", Simd::get()?.level().name())?;
    let levels = Level::ALL.iter().filter(|level| Simd::of(**level).is_some());
    dict.set_item("simd_available", levels.map(|level| level.name()).collect::<Vec<_>>())?;
    Ok(dict)
}

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::policy::Policy;
    #[pymodule_export]
    use super::replay::ReplayBuffer;
    #[pymodule_export]
    use super::trainer::{Trainer, ppo_gradient, train, training_figures};
    #[pymodule_export]
    use super::{build_info, check_scenario, clear::clear, clear::clear_one, clear::clear_plain, feature_names, names};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
