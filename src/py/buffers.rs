//! The numpy arrays that the engine writes into: made once, borrowed per call, never copied.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use numpy::{BorrowError, Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadwriteArray1};
use pulp::bytemuck::try_cast_slice_mut;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySlice, PyTuple};

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
///
/// They are views of two arrays that nobody else is handed: a guard of rust-numpy's costs about 70 ns, a small market's
/// step about 400, so a call takes two guards and not ten. A guard of the whole excludes every guard of a part.
pub struct Buffers {
    pub layout: Layout,
    steps: usize,
    /// The float64 parts, then the float32 parts.
    numbers: Py<PyArray1<f64>>,
    /// The bool parts, and one mark per environment beside the outputs.
    flags: Py<PyArray1<bool>>,
    pub observations: Named<f32>,
    pub final_observations: Named<f32>,
    pub rewards: Named<f32>,
    pub terminated: Named<bool>,
    pub truncated: Named<bool>,
    pub prices: Named<f64>,
    pub demand: Named<f64>,
    pub unserved: Named<f64>,
    pub dispatch: Named<f64>,
    pub profits: Named<f64>,
}

impl Buffers {
    /// Zeroed arrays, with a leading dimension of `steps` if given.
    pub fn new(py: Python<'_>, layout: Layout, steps: Option<usize>) -> PyResult<Self> {
        let Layout { envs, agents, acting, width } = layout;
        let k = steps.unwrap_or(1);
        let doubles = k * envs * (3 + 2 * agents);
        let floats = k * envs * acting * (2 * width + 1);
        let numbers = zeros::<f64>(py, doubles + floats.div_ceil(2))?;
        let flags = zeros::<bool>(py, 3 * k * envs)?;

        let mut f64s = Parts::new(numbers.bind(py), steps);
        let prices = f64s.next("prices", &[envs])?;
        let demand = f64s.next("demand", &[envs])?;
        let unserved = f64s.next("unserved", &[envs])?;
        let dispatch = f64s.next("dispatch", &[envs, agents])?;
        let profits = f64s.next("profits", &[envs, agents])?;
        let mut f32s = Parts::new(&f64s.rest()?.call_method1("view", (f32::get_dtype(py),))?, steps);
        let observations = f32s.next("observations", &[envs, acting, width])?;
        let final_observations = f32s.next("final_observations", &[envs, acting, width])?;
        let rewards = f32s.next("rewards", &[envs, acting])?;
        let mut bools = Parts::new(flags.bind(py), steps);
        let terminated = bools.next("terminated", &[envs])?;
        let truncated = bools.next("truncated", &[envs])?;

        Ok(Self {
            layout,
            steps: k,
            numbers,
            flags,
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
        })
    }

    /// Borrows every array for writing and hands out their memory: the outputs, and the marks.
    pub fn write<R>(&self, py: Python<'_>, work: impl FnOnce(Outputs<'_>, &mut [bool]) -> Result<R>) -> Result<R> {
        let mut numbers = self.numbers.bind(py).try_readwrite().map_err(|error| self.culprit(py, error))?;
        let mut flags = self.flags.bind(py).try_readwrite().map_err(|error| self.culprit(py, error))?;
        self.check_locked(py)?;

        let Layout { envs, agents, acting, width } = self.layout;
        let envs = self.steps * envs;
        let mut f64s = slice_mut(&mut numbers)?;
        let prices = split_off(&mut f64s, envs)?;
        let demand = split_off(&mut f64s, envs)?;
        let unserved = split_off(&mut f64s, envs)?;
        let dispatch = split_off(&mut f64s, envs * agents)?;
        let profits = split_off(&mut f64s, envs * agents)?;
        let mut f32s = try_cast_slice_mut(f64s).map_err(|e| Error::Runtime(format!("engine: {e}")))?;
        let observations = split_off(&mut f32s, envs * acting * width)?;
        let final_observations = split_off(&mut f32s, envs * acting * width)?;
        let rewards = split_off(&mut f32s, envs * acting)?;
        let mut bools = slice_mut(&mut flags)?;
        let terminated = split_off(&mut bools, envs)?;
        let truncated = split_off(&mut bools, envs)?;
        let outputs = Outputs {
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
        work(outputs, split_off(&mut bools, envs)?)
    }

    /// Which array it is that somebody else holds.
    #[cold]
    fn culprit(&self, py: Python<'_>, error: BorrowError) -> Error {
        let held =
            self.all().into_iter().find_map(|array| array.refusal(py).map(|error| unusable(array.name(), error)));
        held.unwrap_or_else(|| unusable("buffers", error))
    }

    /// Refuses arrays that the user made read-only.
    fn check_locked(&self, py: Python<'_>) -> Result<()> {
        self.all().into_iter().try_for_each(|array| array.check_locked(py))
    }

    fn all(&self) -> [&dyn Part; 10] {
        [
            &self.observations,
            &self.final_observations,
            &self.rewards,
            &self.terminated,
            &self.truncated,
            &self.prices,
            &self.demand,
            &self.unserved,
            &self.dispatch,
            &self.profits,
        ]
    }

    /// A copy of all but the observations.
    pub fn last_step(&self, py: Python<'_>) -> Result<LastStep> {
        Ok(LastStep {
            rewards: copied(py, &self.rewards)?,
            terminated: copied(py, &self.terminated)?,
            truncated: copied(py, &self.truncated)?,
            prices: copied(py, &self.prices)?,
            demand: copied(py, &self.demand)?,
            unserved: copied(py, &self.unserved)?,
            dispatch: copied(py, &self.dispatch)?,
            profits: copied(py, &self.profits)?,
        })
    }

    /// Takes what belongs to markets, not to acting agents, from buffers of another number of acting agents.
    pub fn copy_markets_of(&self, py: Python<'_>, other: &Self) -> Result<()> {
        let mut last = other.last_step(py)?;
        last.rewards = vec![0.0; self.layout.envs * self.layout.acting];
        self.write(py, |mut out, _| {
            last.write(&mut out);
            Ok(())
        })
    }

    /// The outputs by name.
    pub fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for array in self.all() {
            dict.set_item(array.name(), array.object(py))?;
        }
        Ok(dict)
    }

    /// Views of the arrays of a single step, those with one entry per market put together.
    pub fn views<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let shape = [3, self.layout.envs];
        let markets: Named<f64> = Parts::new(self.numbers.bind(py), None).next("markets", &shape)?;
        let flags: Named<bool> = Parts::new(self.flags.bind(py), None).next("flags", &shape)?;
        let parts: [&dyn Part; 7] = [
            &self.observations,
            &self.final_observations,
            &self.rewards,
            &self.dispatch,
            &self.profits,
            &markets,
            &flags,
        ];
        let dict = PyDict::new(py);
        for array in parts {
            dict.set_item(array.name(), array.view(py)?)?;
        }
        Ok(dict)
    }
}

/// An array that users see under its name.
pub struct Named<T> {
    name: &'static str,
    array: Py<PyArrayDyn<T>>,
    /// Python has seen it, and may make it read-only.
    shown: AtomicBool,
}

impl<T> Named<T> {
    /// The array, for Python.
    pub fn show(&self, py: Python<'_>) -> Py<PyArrayDyn<T>> {
        self.shown.store(true, Relaxed);
        self.array.clone_ref(py)
    }
}

/// An array of any type.
trait Part {
    fn name(&self) -> &'static str;
    fn object(&self, py: Python<'_>) -> Py<PyAny>;
    /// Another array of the same memory, unlocked or not as this one.
    fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
    /// Why it cannot be borrowed for writing now.
    fn refusal(&self, py: Python<'_>) -> Option<BorrowError>;
    /// Called while the guards of the whole are held: then every part counts as borrowed, but rust-numpy looks at the
    /// flag first. What was never shown was never changed.
    fn check_locked(&self, py: Python<'_>) -> Result<()>;
}

impl<T: Element> Part for Named<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn object(&self, py: Python<'_>) -> Py<PyAny> {
        self.show(py).into_any()
    }

    fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.array.bind(py).call_method0("view")
    }

    fn refusal(&self, py: Python<'_>) -> Option<BorrowError> {
        self.array.bind(py).try_readwrite().err()
    }

    fn check_locked(&self, py: Python<'_>) -> Result<()> {
        if !self.shown.load(Relaxed) {
            return Ok(());
        }
        match self.refusal(py) {
            Some(error @ BorrowError::NotWriteable) => Err(unusable(self.name, error)),
            _ => Ok(()),
        }
    }
}

/// Cuts one array into parts, one after the other.
struct Parts<'py> {
    whole: Bound<'py, PyAny>,
    steps: Option<usize>,
    used: usize,
}

impl<'py> Parts<'py> {
    fn new(whole: &Bound<'py, PyAny>, steps: Option<usize>) -> Self {
        Self { whole: whole.clone(), steps, used: 0 }
    }

    fn next<T: Element>(&mut self, name: &'static str, shape: &[usize]) -> PyResult<Named<T>> {
        let py = self.whole.py();
        let shape: Vec<usize> = self.steps.iter().chain(shape).copied().collect();
        let first = self.used;
        self.used += shape.iter().product::<usize>();
        let part = self.whole.get_item(PySlice::new(py, first as isize, self.used as isize, 1))?;
        let part = part.call_method1("reshape", (PyTuple::new(py, shape)?,))?;
        let array = part.cast_into::<PyArrayDyn<T>>()?.unbind();
        Ok(Named { name, array, shown: AtomicBool::new(false) })
    }

    fn rest(&self) -> PyResult<Bound<'py, PyAny>> {
        self.whole.get_item(PySlice::new(self.whole.py(), self.used as isize, isize::MAX, 1))
    }
}

/// By numpy itself, whose MemoryError reaches the caller.
fn zeros<T: Element>(py: Python<'_>, length: usize) -> PyResult<Py<PyArray1<T>>> {
    let array = py.import("numpy")?.call_method1("zeros", (length, T::get_dtype(py)))?;
    Ok(array.cast_into::<PyArray1<T>>()?.unbind())
}

fn unusable(name: &str, error: BorrowError) -> Error {
    Error::Runtime(format!("engine.{name}: cannot be borrowed: {error}"))
}

fn slice_mut<'a, T: Element>(array: &'a mut PyReadwriteArray1<'_, T>) -> Result<&'a mut [T]> {
    array.as_slice_mut().map_err(|e| Error::Runtime(format!("engine: its arrays were changed: {e}")))
}

/// Takes so many entries from the front.
fn split_off<'a, T>(rest: &mut &'a mut [T], count: usize) -> Result<&'a mut [T]> {
    rest.split_off_mut(..count).ok_or_else(|| Error::Runtime("engine: its arrays were resized".into()))
}

fn copied<T: Element + Copy>(py: Python<'_>, named: &Named<T>) -> Result<Vec<T>> {
    let borrowed = named.array.bind(py).try_readonly().map_err(|e| unusable(named.name, e))?;
    Ok(borrowed.as_array().iter().copied().collect())
}
