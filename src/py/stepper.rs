//! One step of a batch into its buffers.

use std::sync::Arc;

use pyo3::prelude::*;

use super::buffers::Buffers;
use super::{attached, detached};
use crate::batch::Batch;
use crate::error::Result;
use crate::shard::SHARD;
use crate::simd::LANES;
use crate::step::{Autoreset, Outputs};

/// Agents in all environments up to which a step keeps the interpreter lock: it is over within microseconds, sooner than
/// another thread would have given the lock back.
const BRIEF: usize = 512;

/// What one thread at a time has.
pub struct Stepper {
    pub batch: Batch,
    /// Made once; made anew only when the number of acting agents changes.
    pub buffers: Arc<Buffers>,
}

impl Stepper {
    /// One step; returns whether it marks any environment: as reset instead of stepped, or as ended and reset at once.
    pub fn step(&mut self, py: Python<'_>, actions: &[f32], autoreset: Autoreset) -> Result<bool> {
        let Self { batch, buffers } = self;
        let brief = batch.work() <= BRIEF;
        buffers.write(py, |out, marks| {
            let work = || step(batch, actions, autoreset, out, marks);
            if brief { attached(work) } else { detached(py, work) }
        })
    }
}

/// Steps and marks: before the step what it is going to reset, or after it what it ended.
fn step(
    batch: &mut Batch,
    actions: &[f32],
    autoreset: Autoreset,
    mut out: Outputs<'_>,
    marks: &mut [bool],
) -> Result<bool> {
    match autoreset {
        Autoreset::Disabled => batch.step(actions, autoreset, out).map(|()| false),
        Autoreset::NextStep => {
            for (shard, marks) in batch.shards.iter().zip(marks.chunks_mut(SHARD)) {
                for (marks, head) in marks.chunks_mut(LANES).zip(&shard.heads) {
                    marks.copy_from_slice(&head.finished[..marks.len()]);
                }
            }
            batch.step(actions, autoreset, out).map(|()| marks.contains(&true))
        }
        Autoreset::SameStep => {
            batch.step(actions, autoreset, out.reborrow())?;
            for ((mark, ended), cut) in marks.iter_mut().zip(&*out.terminated).zip(&*out.truncated) {
                *mark = *ended | *cut;
            }
            Ok(marks.contains(&true))
        }
    }
}
