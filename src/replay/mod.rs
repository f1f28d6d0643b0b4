//! A replay buffer: the last transitions, to learn from in random order.
//!
//! Rows are numbered 0, 1, 2, ... as they are added and never again; row r lies in slot `r mod capacity`, and the rows of a
//! sample keep their numbers, so that a priority that comes late is not given to the row that has taken the slot since.
//! Everything lies behind one lock that many readers may hold at once, so a row is never seen half written.

mod layout;
mod priorities;
mod snapshot;
mod sum_tree;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use layout::{Columns, Layout, Storage, Transitions};
pub use priorities::Exponent;
use priorities::Priorities;

use crate::error::{Error, Result};
use crate::rng::{Kind, fill_uniform};
use crate::simd::Simd;

/// Most rows of one sample: their places are counted in 32 bits.
pub const MOST_SAMPLED: usize = 1 << 31;

/// What a buffer is made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Rows that it keeps.
    pub capacity: usize,
    /// What a row consists of.
    pub layout: Layout,
    /// How priorities become probabilities; None samples uniformly.
    pub exponent: Option<Exponent>,
}

/// The last transitions of some environments.
#[derive(Debug)]
pub struct ReplayBuffer {
    settings: Settings,
    simd: Simd,
    /// Words of a row.
    words: usize,
    /// Samples that were drawn by the buffer's own count.
    draws: AtomicU64,
    held: RwLock<Held>,
}

#[derive(Debug)]
struct Held {
    seed: u64,
    /// Rows that were ever added.
    written: u64,
    /// (capacity, words).
    store: Vec<u32>,
    priorities: Option<Priorities>,
}

/// Which random numbers a sample takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Key {
    /// None takes the buffer's.
    pub seed: Option<u64>,
    /// Number of the draw; None takes the buffer's count, which goes on.
    pub draw: Option<u64>,
}

/// The caller's arrays for a sample of B rows.
#[derive(Debug)]
pub struct Sample<'a> {
    /// The transitions.
    pub columns: Columns<'a>,
    /// (B,): numbers of the rows.
    pub rows: &'a mut [i64],
    /// (B,): importance weights, in (0, 1].
    pub weights: &'a mut [f32],
}

impl ReplayBuffer {
    /// An empty buffer; all its memory is taken now.
    pub fn new(settings: Settings, seed: u64) -> Result<Self> {
        let Settings { capacity, layout, exponent } = settings;
        if let Some(exponent) = exponent {
            exponent.check()?;
        }
        for (name, number) in [("capacity", capacity), ("obs_dim", layout.observation), ("action_dim", layout.action)] {
            if number == 0 {
                return Err(Error::value(name, "must be at least 1, got 0"));
            }
        }
        let too_large = || Error::value("capacity", format!("{capacity} rows are more than memory can hold"));
        let words = layout.words().ok_or_else(too_large)?;
        let simd = Simd::get()?;
        let held = Held {
            seed,
            written: 0,
            store: capacity.checked_mul(words).ok_or_else(too_large).and_then(zeros)?,
            priorities: exponent.map(|exponent| Priorities::new(simd, exponent, capacity)).transpose()?,
        };
        Ok(Self { settings, simd, words, draws: AtomicU64::new(0), held: RwLock::new(held) })
    }

    /// What it was made with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Rows that it holds.
    pub fn len(&self) -> Result<usize> {
        Ok(self.read()?.len(self.settings.capacity))
    }

    /// Whether it holds no rows.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Rows that were ever added: the number of the next row.
    pub fn written(&self) -> Result<u64> {
        Ok(self.read()?.written)
    }

    /// The seed of its draws.
    pub fn seed(&self) -> Result<u64> {
        Ok(self.read()?.seed)
    }

    /// Samples that were drawn by its own count.
    pub fn draws(&self) -> u64 {
        self.draws.load(Relaxed)
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> Result<usize> {
        let held = self.read()?;
        Ok(size_of_val(held.store.as_slice()) + held.priorities.as_ref().map_or(0, Priorities::bytes))
    }

    /// Adds transitions, the oldest first; of more than fit, the last stay.
    pub fn add(&self, rows: Transitions<'_>) -> Result<()> {
        let Settings { capacity, layout, .. } = self.settings;
        let count = layout.check(&rows)?;
        let encoded = layout.encode(rows);
        let mut held = self.write()?;
        let mut taken = count.saturating_sub(capacity);
        let mut slot = ((held.written + taken as u64) % capacity as u64) as usize;
        while taken < count {
            let run = (capacity - slot).min(count - taken);
            layout.write(&encoded, taken, &mut held.store[slot * self.words..][..run * self.words]);
            if let Some(priorities) = &mut held.priorities {
                priorities.renew(slot..slot + run);
            }
            taken += run;
            slot = 0;
        }
        held.written += count as u64;
        Ok(())
    }

    /// Draws rows, with replacement, and copies them; returns the number of the draw.
    ///
    /// The same key finds the same rows in the same buffer, whoever asks. `beta` in [0, 1] is how much of the bias of
    /// priorities the weights take back.
    pub fn sample(&self, key: Key, beta: f64, out: Sample<'_>) -> Result<u64> {
        let Settings { capacity, layout, .. } = self.settings;
        let Sample { mut columns, rows, weights } = out;
        let count = layout.check_columns(&columns)?;
        check_length("rows", rows.len(), count)?;
        check_length("weights", weights.len(), count)?;
        if !(1..=MOST_SAMPLED).contains(&count) {
            return Err(Error::value("batch_size", format!("must be in 1..{MOST_SAMPLED}, got {count}")));
        }
        if !(0.0..=1.0).contains(&beta) {
            return Err(Error::value("beta", format!("must be in [0, 1], got {beta}")));
        }
        let held = self.read()?;
        let len = held.len(capacity);
        if len == 0 {
            return Err(Error::Runtime("replay buffer: there is nothing to sample yet; add transitions first".into()));
        }
        let draw = key.draw.unwrap_or_else(|| self.draws.fetch_add(1, Relaxed));
        let (mut uniforms, mut slots) = (vec![0.0; count], vec![0; count]);
        fill_uniform(self.simd, key.seed.unwrap_or(held.seed), draw, Kind::Replay, &mut uniforms);

        let oldest = held.written - len as u64;
        let first = (oldest % capacity as u64) as usize;
        match &held.priorities {
            None => {
                for (slot, uniform) in slots.iter_mut().zip(uniforms) {
                    let age = ((uniform * len as f64) as usize).min(len - 1);
                    *slot = wrapped(first + age, capacity);
                }
                weights.fill(1.0);
            }
            Some(priorities) => {
                priorities.draw(uniforms, &mut slots);
                priorities.correct(self.simd, &slots, beta, weights);
            }
        }
        for (row, slot) in rows.iter_mut().zip(&slots) {
            *row = (oldest + wrapped(slot + capacity - first, capacity) as u64) as i64;
        }
        layout.read(&held.store, &slots, &mut columns);
        Ok(draw)
    }

    /// Gives rows new priorities; of a row that is named twice the later one stays. Rows that are no longer there are passed
    /// over. Returns how many were there.
    pub fn update_priorities(&self, rows: &[i64], priorities: &[f32]) -> Result<usize> {
        let exponent = self.settings.exponent.ok_or_else(|| {
            Error::Runtime("replay buffer: samples uniformly and has no priorities; make it with an alpha".into())
        })?;
        check_length("priorities", priorities.len(), rows.len())?;
        if let Some(i) = priorities.iter().position(|p| !(p.is_finite() && *p >= 0.0)) {
            return Err(Error::value(
                format!("priorities[{i}]"),
                format!("must be finite and >= 0, got {}", priorities[i]),
            ));
        }
        let mut weights = exponent.weights(self.simd, priorities);
        let mut held = self.write()?;
        if let Some(i) = rows.iter().position(|&row| row < 0 || row as u64 >= held.written) {
            let reason = format!("must be the number of an added row, below {}, got {}", held.written, rows[i]);
            return Err(Error::value(format!("indices[{i}]"), reason));
        }
        let capacity = self.settings.capacity as u64;
        let oldest = held.written.saturating_sub(capacity);
        let (mut slots, mut there) = (Vec::with_capacity(rows.len()), 0);
        for (i, &row) in rows.iter().enumerate() {
            if row as u64 >= oldest {
                slots.push((row as u64 % capacity) as usize);
                weights[there] = weights[i];
                there += 1;
            }
        }
        weights.truncate(there);
        if let Some(priorities) = &mut held.priorities {
            priorities.set(&slots, &weights);
        }
        Ok(there)
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Held>> {
        self.held.read().map_err(|_| unusable())
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Held>> {
        self.held.write().map_err(|_| unusable())
    }
}

impl Held {
    fn len(&self, capacity: usize) -> usize {
        self.written.min(capacity as u64) as usize
    }
}

/// A slot that may lie up to one turn behind the last.
fn wrapped(slot: usize, capacity: usize) -> usize {
    if slot < capacity { slot } else { slot - capacity }
}

fn check_length(name: &str, length: usize, wanted: usize) -> Result<()> {
    if length == wanted { Ok(()) } else { Err(Error::value(name, format!("must hold {wanted} entries, got {length}"))) }
}

#[cold]
fn unusable() -> Error {
    Error::Runtime("replay buffer: unusable after an internal error".into())
}

/// Zeroed memory, or an error where there is not so much: never an abort.
fn zeros<T: Clone + Default>(length: usize) -> Result<Vec<T>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(length).map_err(|_| {
        let bytes = length as u128 * size_of::<T>() as u128;
        Error::value("capacity", format!("needs {bytes} bytes of memory, which are not there"))
    })?;
    memory.resize(length, T::default());
    Ok(memory)
}

/// Pieces of memory that are asked for at once. Work on one takes so many instructions that the processor would ask for few
/// others meanwhile.
const TOGETHER: usize = 64;

/// Reads words that are scattered over memory, so that what stands beside them is near when it is needed.
#[inline(always)]
fn touch(words: impl Iterator<Item = u64>) {
    black_box(words.fold(0, |all, word| all ^ word));
}
