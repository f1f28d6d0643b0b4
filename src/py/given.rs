//! Arrays that callers hand in, checked and borrowed.

use numpy::{
    Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use super::extract;
use crate::error::{Error, Result};

/// A borrowed array: of one dtype, C-contiguous, of the one legal shape.
pub struct Given<'py, T: Element> {
    name: &'static str,
    array: PyReadonlyArrayDyn<'py, T>,
}

impl<'py, T: Element> Given<'py, T> {
    /// Borrows an array; `letters` are the names of its dimensions.
    pub fn new(name: &'static str, array: &Bound<'py, PyAny>, shape: &[usize], letters: &str) -> Result<Self> {
        Self::fitting(name, array, shape)?.ok_or_else(|| misfit::<T>(name, array, shape, letters))
    }

    /// The array, or None when its dtype, shape or layout is another.
    fn fitting(name: &'static str, array: &Bound<'py, PyAny>, shape: &[usize]) -> Result<Option<Self>> {
        let Some(array) = cast::<T>(array, shape) else { return Ok(None) };
        let borrowed = array.try_readonly();
        borrowed
            .map(|array| Some(Self { name, array }))
            .map_err(|_| Error::Runtime(format!("{name}: the array is being written by another call")))
    }

    pub fn slice(&self) -> Result<&[T]> {
        self.array.as_slice().map_err(|_| Error::wrong_type(self.name, "must be C-contiguous"))
    }
}

/// An array that is borrowed to be written: of one dtype, C-contiguous, of the one legal shape.
pub struct Lent<'py, T: Element> {
    name: &'static str,
    array: PyReadwriteArrayDyn<'py, T>,
}

impl<'py, T: Element> Lent<'py, T> {
    pub fn new(name: &'static str, array: &Bound<'py, PyAny>, shape: &[usize], letters: &str) -> Result<Self> {
        let fitting = cast::<T>(array, shape).ok_or_else(|| misfit::<T>(name, array, shape, letters))?;
        let borrowed = fitting.try_readwrite();
        let array = borrowed.map_err(|error| Error::Runtime(format!("{name}: cannot be borrowed: {error}")))?;
        Ok(Self { name, array })
    }

    pub fn slice(&mut self) -> Result<&mut [T]> {
        self.array.as_slice_mut().map_err(|_| Error::wrong_type(self.name, "must be C-contiguous"))
    }
}

/// Borrowed actions.
pub struct Actions<'py>(Given<'py, f32>);

impl<'py> Actions<'py> {
    pub fn new(actions: &Bound<'py, PyAny>, shape: &[usize], letters: &str) -> Result<Self> {
        Given::new("actions", actions, shape, letters).map(Self)
    }

    /// The actions, or None when their dtype, shape or layout is another.
    pub fn fitting(actions: &Bound<'py, PyAny>, shape: &[usize]) -> Result<Option<Self>> {
        Ok(Given::fitting("actions", actions, shape)?.map(Self))
    }

    pub fn slice(&self) -> Result<&[f32]> {
        self.0.slice()
    }
}

/// The array, if it is one of that dtype, shape and layout.
fn cast<'a, 'py, T: Element>(array: &'a Bound<'py, PyAny>, shape: &[usize]) -> Option<&'a Bound<'py, PyArrayDyn<T>>> {
    let array = array.cast::<PyArrayDyn<T>>().ok()?;
    (array.shape() == shape && array.is_c_contiguous() && array.is_aligned()).then_some(array)
}

/// What is wrong with an array that does not fit.
#[cold]
fn misfit<T: Element>(name: &str, array: &Bound<'_, PyAny>, shape: &[usize], letters: &str) -> Error {
    let wanted = format!("a C-contiguous {} array of shape {letters} = {shape:?}", T::get_dtype(array.py()));
    let Ok(untyped) = array.cast::<PyUntypedArray>() else {
        return extract::wrong_type(name, &wanted, array);
    };
    if array.cast::<PyArrayDyn<T>>().is_err() {
        return Error::wrong_type(name, format!("must be {wanted}, got dtype {}", untyped.dtype()));
    }
    if untyped.shape() != shape {
        return Error::value(name, format!("must be {wanted}, got shape {:?}", untyped.shape()));
    }
    let flaw = if untyped.is_c_contiguous() { "aligned" } else { "contiguous" };
    Error::wrong_type(name, format!("must be {wanted}; this one is not {flaw}"))
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
