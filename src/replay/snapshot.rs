//! The whole state of a buffer as bytes that another process can restore.

use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use super::{Exponent, Held, Layout, ReplayBuffer, Settings, Storage};
use crate::error::{Error, Result};
use crate::scenario::fnv1a;

/// Changes whenever the encoding does.
const VERSION: u32 = 1;
const MAGIC: &[u8; 4] = b"VMRB";
const CHECKSUM: usize = size_of::<u64>();
/// Rows that a buffer will not reach, so that their numbers stay numbers.
const MOST_WRITTEN: u64 = 1 << 62;

/// What stands before the rows, the oldest first, and their weights, little-endian.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    capacity: u64,
    observation: u64,
    action: u64,
    storage: Storage,
    alpha_and_epsilon: Option<(f64, f64)>,
    seed: u64,
    draws: u64,
    written: u64,
    largest: Option<f64>,
}

impl Head {
    fn settings(&self) -> Settings {
        let (observation, action) = (self.observation as usize, self.action as usize);
        Settings {
            capacity: self.capacity as usize,
            layout: Layout { observation, action, storage: self.storage },
            exponent: self.alpha_and_epsilon.map(|(alpha, epsilon)| Exponent { alpha, epsilon }),
        }
    }
}

impl ReplayBuffer {
    /// The state as bytes: what it holds, its seed and its count of draws.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        let Settings { capacity, layout, exponent } = self.settings;
        let held = self.read()?;
        let head = Head {
            version: VERSION,
            capacity: capacity as u64,
            observation: layout.observation as u64,
            action: layout.action as u64,
            storage: layout.storage,
            alpha_and_epsilon: exponent.map(|exponent| (exponent.alpha, exponent.epsilon)),
            seed: held.seed,
            draws: self.draws(),
            written: held.written,
            largest: held.priorities.as_ref().map(|priorities| priorities.largest),
        };
        let bytes = postcard::to_extend(&head, MAGIC.to_vec());
        let mut bytes = bytes.map_err(|e| Error::Runtime(format!("snapshot: cannot be encoded: {e}")))?;
        bytes.reserve(held.len(capacity) * (self.words * size_of::<u32>() + size_of::<f64>()) + CHECKSUM);
        for slot in held.slots(capacity) {
            bytes.extend(held.store[slot * self.words..][..self.words].iter().flat_map(|word| word.to_le_bytes()));
        }
        if let Some(priorities) = &held.priorities {
            bytes.extend(held.slots(capacity).flat_map(|slot| priorities.weight(slot).to_le_bytes()));
        }
        drop(held);
        bytes.extend(fnv1a(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// Takes the state of a buffer that was made with the same settings; the seed becomes that of the snapshot. Anything
    /// else is an error that leaves the buffer as it was.
    pub fn restore(&self, bytes: &[u8]) -> Result<()> {
        let bad = |reason: &str| Error::value("state", reason);
        let body = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_last_chunk::<CHECKSUM>());
        let (body, checksum) = body.ok_or_else(|| bad("is not a snapshot of a replay buffer"))?;
        if fnv1a(&bytes[..bytes.len() - CHECKSUM]) != u64::from_le_bytes(*checksum) {
            return Err(bad("is damaged: its checksum does not match"));
        }
        let (head, body): (Head, _) =
            postcard::take_from_bytes(body).map_err(|e| bad(&format!("cannot be decoded: {e}")))?;
        if head.version != VERSION {
            return Err(bad(&format!("has format {}, this version reads {VERSION}", head.version)));
        }
        if head.settings() != self.settings {
            let (theirs, ours) = (head.settings().shown(), self.settings.shown());
            return Err(bad(&format!("was taken of a buffer with {theirs}, this one has {ours}")));
        }
        let capacity = self.settings.capacity;
        let len = head.written.min(capacity as u64) as usize;
        let rows = len * self.words * size_of::<u32>();
        let weights = if self.settings.exponent.is_some() { len * size_of::<f64>() } else { 0 };
        let fits = body.len() == rows + weights && head.written <= MOST_WRITTEN;
        let (rows, weights) = body.split_at_checked(rows).filter(|_| fits).ok_or_else(|| bad("does not fit"))?;
        let weights: Vec<f64> = weights.as_chunks().0.iter().map(|word| f64::from_le_bytes(*word)).collect();
        let usable = |weight: &f64| weight.is_normal() && *weight > 0.0;
        if !weights.iter().chain(&head.largest).all(usable) {
            return Err(bad("holds a weight that is not finite and > 0"));
        }

        let mut held = self.write()?;
        let Held { seed, written, store, priorities } = &mut *held;
        (*seed, *written) = (head.seed, head.written);
        self.draws.store(head.draws, Relaxed);
        let slots: Vec<usize> = slots(*written, capacity).collect();
        for (slot, row) in slots.iter().zip(rows.chunks_exact(self.words * size_of::<u32>())) {
            let words = row.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
            store[slot * self.words..][..self.words].iter_mut().zip(words).for_each(|(to, word)| *to = word);
        }
        if let (Some(priorities), Some(largest)) = (priorities, head.largest) {
            priorities.replace(&slots, &weights, largest);
        }
        Ok(())
    }
}

impl Held {
    /// Slots of the rows, the oldest first.
    fn slots(&self, capacity: usize) -> impl Iterator<Item = usize> {
        slots(self.written, capacity)
    }
}

fn slots(written: u64, capacity: usize) -> impl Iterator<Item = usize> {
    let capacity = capacity as u64;
    (written.saturating_sub(capacity)..written).map(move |row| (row % capacity) as usize)
}

impl Settings {
    fn shown(&self) -> String {
        let Self { capacity, layout: Layout { observation, action, storage }, exponent } = self;
        let sampling = match exponent {
            None => "uniform sampling".to_owned(),
            Some(Exponent { alpha, epsilon }) => format!("alpha {alpha}, epsilon {epsilon}"),
        };
        format!("capacity {capacity}, obs_dim {observation}, action_dim {action}, {} and {sampling}", storage.name())
    }
}
