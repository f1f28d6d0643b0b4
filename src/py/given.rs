//! Arrays that callers hand in, checked and borrowed.

use numpy::{PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::extract;
use crate::error::{Error, Result};

/// Borrowed actions: float32, C-contiguous, of the one legal shape.
pub struct Actions<'py>(PyReadonlyArrayDyn<'py, f32>);

impl<'py> Actions<'py> {
    pub fn new(actions: &Bound<'py, PyAny>, shape: &[usize], letters: &str) -> Result<Self> {
        Self::fitting(actions, shape)?.ok_or_else(|| misfit(actions, shape, letters))
    }

    /// The actions, or None when their dtype, shape or layout is another.
    pub fn fitting(actions: &Bound<'py, PyAny>, shape: &[usize]) -> Result<Option<Self>> {
        let Ok(array) = actions.cast::<PyArrayDyn<f32>>() else { return Ok(None) };
        if array.shape() != shape || !array.is_c_contiguous() || !array.is_aligned() {
            return Ok(None);
        }
        let borrowed = array.try_readonly();
        borrowed
            .map(|array| Some(Self(array)))
            .map_err(|_| Error::Runtime("actions: the array is being written by another call".into()))
    }

    pub fn slice(&self) -> Result<&[f32]> {
        self.0.as_slice().map_err(|_| Error::wrong_type("actions", "must be C-contiguous"))
    }
}

/// What is wrong with actions that do not fit.
#[cold]
fn misfit(actions: &Bound<'_, PyAny>, shape: &[usize], letters: &str) -> Error {
    let wanted = format!("a C-contiguous float32 array of shape {letters} = {shape:?}");
    let Ok(array) = actions.cast::<PyUntypedArray>() else {
        return extract::wrong_type("actions", &wanted, actions);
    };
    if actions.cast::<PyArrayDyn<f32>>().is_err() {
        return Error::wrong_type("actions", format!("must be {wanted}, got dtype {}", array.dtype()));
    }
    if array.shape() != shape {
        return Error::value("actions", format!("must be {wanted}, got shape {:?}", array.shape()));
    }
    let flaw = if array.is_c_contiguous() { "aligned" } else { "contiguous" };
    Error::wrong_type("actions", format!("must be {wanted}; this one is not {flaw}"))
}

/// Length of the first dimension of an array, at least 1.
pub fn leading(actions: &Bound<'_, PyAny>) -> Result<usize> {
    let array = actions.cast::<PyUntypedArray>().map_err(|_| extract::wrong_type("actions", "an array", actions))?;
    match array.shape().first() {
        Some(0) | None => {
            Err(Error::value("actions", format!("must hold at least one step, got shape {:?}", array.shape())))
        }
        Some(&steps) => Ok(steps),
    }
}

pub fn flags(mask: &Bound<'_, PyAny>, envs: usize) -> Result<Vec<bool>> {
    let refuse = || extract::wrong_type("mask", "an array of bool", mask);
    let array = mask.cast::<PyArrayDyn<bool>>().map_err(|_| refuse())?;
    if array.shape() != [envs] {
        return Err(Error::value("mask", format!("must have shape ({envs},), got {:?}", array.shape())));
    }
    Ok(array.try_readonly().map_err(|_| refuse())?.as_array().iter().copied().collect())
}

pub fn starts(start: &Bound<'_, PyAny>, envs: usize) -> Result<Vec<i64>> {
    if start.hasattr("__index__").unwrap_or(false) && !start.hasattr("__len__").unwrap_or(false) {
        return Ok(vec![extract::integer(start, "start")?; envs]);
    }
    let refuse = || extract::wrong_type("start", "an integer or a sequence of integers", start);
    let items: Vec<Bound<'_, PyAny>> =
        start.try_iter().map_err(|_| refuse())?.collect::<PyResult<_>>().map_err(|_| refuse())?;
    if items.len() != envs {
        return Err(Error::value("start", format!("must have one entry per environment, {envs}, got {}", items.len())));
    }
    items.iter().enumerate().map(|(i, item)| extract::integer(item, &format!("start[{i}]"))).collect()
}
