//! `vecmarket._core.Policy`: a policy that acts on arrays, or in an engine's seats.

use std::sync::{Arc, Mutex, PoisonError};

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::{detached, extract};
use crate::action::{ACTION_WIDTH, Action};
use crate::error::{Error, Result};
use crate::nn::{Activation, Shape, TILE, Tile};
use crate::policy::{self, Act, Weights};
use crate::pool::Pool;
use crate::rng::{Kind, Streams};
use crate::simd::Simd;

/// Rows that are worth a thread: to wake one costs as much as some 200 rows of a small network, and one that cannot help
/// has to be started first.
const WORTH: usize = 2048;
/// Rows that a thread takes at a time.
const PIECE: usize = 4 * TILE;

/// A Gaussian policy with frozen weights.
#[pyclass(frozen, module = "vecmarket._core")]
pub struct Policy {
    policy: Arc<policy::Policy>,
    /// Working memory of the threads that were at work at a time.
    tiles: Mutex<Vec<Tile>>,
}

#[pymethods]
impl Policy {
    /// `widths` are those of the observation, the hidden layers and the action; `parameters` are of each layer the weights,
    /// (out, in), then the biases, (out,).
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        widths: &Bound<'_, PyAny>,
        activation: &str,
        parameters: &Bound<'_, PyAny>,
        centre: &Bound<'_, PyAny>,
        scale: &Bound<'_, PyAny>,
        std: &Bound<'_, PyAny>,
        low: &Bound<'_, PyAny>,
        high: &Bound<'_, PyAny>,
        sampled: bool,
    ) -> PyResult<Self> {
        let widths = extract::widths(widths, "policy: widths")?;
        let [inputs, hidden @ .., outputs] = &widths[..] else {
            return Err(Error::value("policy: widths", "must name at least inputs and outputs").into());
        };
        let policy = policy::Policy::new(Weights {
            shape: Shape {
                inputs: *inputs,
                hidden: hidden.to_vec(),
                outputs: *outputs,
                activation: Activation::parse("policy: activation", activation)?,
            },
            parameters: floats(parameters, "policy: parameters")?,
            centre: floats(centre, "policy: centre")?,
            scale: floats(scale, "policy: scale")?,
            std: floats(std, "policy: std")?,
            low: floats(low, "policy: low")?,
            high: floats(high, "policy: high")?,
            sampled,
        })?;
        Ok(Self { policy: Arc::new(policy), tiles: Mutex::new(vec![]) })
    }

    /// The mean actions, (N, A) float32, for observations (N, F) float32, C-contiguous.
    fn mean<'py>(
        &self,
        py: Python<'py>,
        observations: &Bound<'py, PyAny>,
        threads: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.act(py, observations, threads, None)
    }

    /// Drawn actions, (N, A) float32: what an agent of this place does in that step and episode of environments with those
    /// seeds. Seeds and episodes are uint64, steps uint32, (N,) each.
    #[allow(clippy::too_many_arguments)]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        observations: &Bound<'py, PyAny>,
        seeds: &Bound<'py, PyAny>,
        episodes: &Bound<'py, PyAny>,
        steps: &Bound<'py, PyAny>,
        agent: &Bound<'py, PyAny>,
        threads: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let keys = Keys {
            seeds: borrowed(seeds, "seeds", "uint64")?.as_array().to_vec(),
            episodes: borrowed(episodes, "episodes", "uint64")?.as_array().to_vec(),
            steps: borrowed(steps, "steps", "uint32")?.as_array().to_vec(),
            agent: extract::place(agent, "agent")?,
        };
        self.act(py, observations, threads, Some(&keys))
    }

    /// Names the numbers: equal policies have the same.
    #[getter]
    fn fingerprint(&self) -> u64 {
        self.policy.fingerprint()
    }
}

/// What noise is drawn by, (N,) each.
struct Keys {
    seeds: Vec<u64>,
    episodes: Vec<u64>,
    steps: Vec<u32>,
    agent: u32,
}

impl Keys {
    fn noise(&self, row: usize) -> Action {
        let streams = Streams::new(self.seeds[row], self.episodes[row]);
        streams.normals(self.steps[row], Kind::Action, self.agent).map(|x| x as f32)
    }
}

impl Policy {
    /// The policy itself.
    pub fn shared(&self) -> Arc<policy::Policy> {
        Arc::clone(&self.policy)
    }

    fn act<'py>(
        &self,
        py: Python<'py>,
        observations: &Bound<'py, PyAny>,
        threads: &Bound<'py, PyAny>,
        keys: Option<&Keys>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let features = self.policy.features();
        let wanted = format!("a C-contiguous float32 array of shape (N, {features})");
        let refuse = |_| extract::wrong_type("observations", &wanted, observations);
        let array = observations.cast::<PyArray2<f32>>().map_err(refuse)?;
        if array.shape()[1] != features {
            return Err(Error::value("observations", format!("must be {wanted}, got shape {:?}", array.shape())).into());
        }
        let borrowed: PyReadonlyArray2<'_, f32> = array
            .try_readonly()
            .map_err(|_| Error::Runtime("observations: the array is being written by another call".into()))?;
        let given = borrowed.as_slice().map_err(|_| Error::wrong_type("observations", format!("must be {wanted}")))?;
        let rows = array.shape()[0];
        if keys.is_some_and(|keys| [keys.seeds.len(), keys.episodes.len(), keys.steps.len()] != [rows; 3]) {
            return Err(Error::value("seeds, episodes, steps", format!("must have {rows} entries each")).into());
        }
        let threads = extract::integer(threads, "threads")?;
        // To ask how many cores there are takes longer than a few rows.
        let pool = Pool::new(if threads == 0 && rows < WORTH { 1 } else { threads })?;
        let actions = PyArray2::<f32>::zeros(py, [rows, ACTION_WIDTH], false);
        let mut guard = actions.readwrite();
        let (out, _) = guard.as_slice_mut()?.as_chunks_mut();
        detached(py, || {
            if let Some(i) = given.iter().position(|x| !x.is_finite()) {
                let place = format!("observations[{}, {}]", i / features, i % features);
                return Err(Error::value(place, format!("must be finite, got {}", given[i])));
            }
            self.share(&pool, given, keys, out)
        })?;
        drop(guard);
        Ok(actions)
    }

    /// Acts on all rows, on threads where that is worth it.
    fn share(&self, pool: &Pool, observations: &[f32], keys: Option<&Keys>, actions: &mut [Action]) -> Result<()> {
        let simd = Simd::get()?;
        let (features, times) = (self.policy.features(), pool.threads().min(1 + actions.len() / WORTH));
        let seen = observations.chunks(PIECE * features);
        let pieces = Mutex::new(seen.zip(actions.chunks_mut(PIECE)).enumerate());
        let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
        pool.share(times, &|| {
            let lock = || self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = lock().pop();
            let mut tile = kept.unwrap_or_else(|| self.policy.tile());
            let rows: [u32; PIECE] = std::array::from_fn(|row| row as u32);
            let mut noise = [[0.0; ACTION_WIDTH]; PIECE];
            while let Some((i, (observations, actions))) = next() {
                if let Some(keys) = keys {
                    for (row, noise) in noise.iter_mut().enumerate().take(actions.len()) {
                        *noise = keys.noise(i * PIECE + row);
                    }
                }
                let (rows, noise) = (&rows[..actions.len()], keys.is_some().then_some(&noise[..]));
                simd.run(Act {
                    policy: &self.policy,
                    tile: &mut tile,
                    observations,
                    rows,
                    noise,
                    actions,
                    drawn: None,
                });
            }
            lock().push(tile);
        })
    }
}

/// Numbers of a one-dimensional float32 array.
fn floats(value: &Bound<'_, PyAny>, path: &str) -> Result<Vec<f32>> {
    Ok(borrowed(value, path, "float32")?.as_array().to_vec())
}

fn borrowed<'py, T: numpy::Element>(
    value: &Bound<'py, PyAny>,
    path: &str,
    dtype: &str,
) -> Result<PyReadonlyArray1<'py, T>> {
    let refuse = || extract::wrong_type(path, &format!("a one-dimensional array of {dtype}"), value);
    let array = value.cast::<PyArray1<T>>().map_err(|_| refuse())?;
    array.try_readonly().map_err(|_| Error::Runtime(format!("{path}: the array is being written by another call")))
}
