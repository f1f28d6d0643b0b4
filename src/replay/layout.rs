//! How a transition lies in memory: all of it side by side, so that reading one at random takes one or two lines of the cache.

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use pulp::bytemuck::{Pod, cast_slice, cast_slice_mut};

use super::{TOGETHER, check_length, touch};
use crate::error::{Error, Result};
use crate::spec::named;

named! {
    /// How observations are kept.
    Storage {
        /// As they are given.
        Float32 = "float32",
        /// Rounded to IEEE binary16, to the nearest and to even in a tie: half the memory, 11 significant bits.
        Float16 = "float16",
    }
}

impl Storage {
    /// Numbers of this size or more cannot be kept: they would round to infinity.
    pub fn limit(self) -> f32 {
        match self {
            Self::Float32 => f32::INFINITY,
            Self::Float16 => 65_520.0,
        }
    }
}

/// Widths of a transition's parts. A row is observation, next observation, action, reward and flags, in words of 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Numbers of an observation.
    pub observation: usize,
    /// Numbers of an action.
    pub action: usize,
    /// How observations are kept.
    pub storage: Storage,
}

/// Bits of a row's last word.
const TERMINATED: u32 = 1;
const TRUNCATED: u32 = 2;

/// Transitions as they are handed in: N rows each.
#[derive(Debug, Clone, Copy)]
pub struct Transitions<'a> {
    /// (N, D).
    pub observations: &'a [f32],
    /// (N, A).
    pub actions: &'a [f32],
    /// (N,).
    pub rewards: &'a [f32],
    /// (N, D).
    pub next_observations: &'a [f32],
    /// (N,).
    pub terminated: &'a [bool],
    /// (N,); None where none is.
    pub truncated: Option<&'a [bool]>,
}

/// The caller's arrays for transitions that are read: B rows each.
#[derive(Debug)]
pub struct Columns<'a> {
    /// (B, D).
    pub observations: &'a mut [f32],
    /// (B, A).
    pub actions: &'a mut [f32],
    /// (B,).
    pub rewards: &'a mut [f32],
    /// (B, D).
    pub next_observations: &'a mut [f32],
    /// (B,).
    pub terminated: &'a mut [bool],
    /// (B,).
    pub truncated: &'a mut [bool],
}

/// Transitions whose observations are in the form in which they are kept.
#[derive(Debug)]
pub struct Encoded<'a> {
    rows: Transitions<'a>,
    /// Both observations, where they are rounded.
    rounded: Option<[Vec<u16>; 2]>,
}

impl Layout {
    /// Words of an observation as it is kept.
    fn kept(&self) -> usize {
        match self.storage {
            Storage::Float32 => self.observation,
            Storage::Float16 => self.observation.div_ceil(2),
        }
    }

    /// Words of a row; None where there are too many to count.
    pub fn words(&self) -> Option<usize> {
        self.kept().checked_mul(2)?.checked_add(self.action)?.checked_add(2)
    }

    /// Checks lengths and numbers; returns how many rows there are.
    pub fn check(&self, rows: &Transitions<'_>) -> Result<usize> {
        let count = rows.rewards.len();
        check_length("observations", rows.observations.len(), count * self.observation)?;
        check_length("actions", rows.actions.len(), count * self.action)?;
        check_length("next_observations", rows.next_observations.len(), count * self.observation)?;
        check_length("terminated", rows.terminated.len(), count)?;
        check_length("truncated", rows.truncated.map_or(count, <[bool]>::len), count)?;
        let limit = self.storage.limit();
        check_numbers("observations", rows.observations, Some(self.observation), limit)?;
        check_numbers("actions", rows.actions, Some(self.action), f32::INFINITY)?;
        check_numbers("rewards", rows.rewards, None, f32::INFINITY)?;
        check_numbers("next_observations", rows.next_observations, Some(self.observation), limit)?;
        Ok(count)
    }

    /// Checks lengths; returns how many rows there is room for.
    pub fn check_columns(&self, out: &Columns<'_>) -> Result<usize> {
        let count = out.rewards.len();
        check_length("observations", out.observations.len(), count * self.observation)?;
        check_length("actions", out.actions.len(), count * self.action)?;
        check_length("next_observations", out.next_observations.len(), count * self.observation)?;
        check_length("terminated", out.terminated.len(), count)?;
        check_length("truncated", out.truncated.len(), count)?;
        Ok(count)
    }

    /// Rounds the observations where they are kept so, all at once.
    pub fn encode<'a>(&self, rows: Transitions<'a>) -> Encoded<'a> {
        let round = |numbers: &[f32]| {
            let mut bits = vec![0; numbers.len()];
            bits.reinterpret_cast_mut::<f16>().convert_from_f32_slice(numbers);
            bits
        };
        let rounded = match self.storage {
            Storage::Float32 => None,
            Storage::Float16 => Some([round(rows.observations), round(rows.next_observations)]),
        };
        Encoded { rows, rounded }
    }

    /// Writes transitions from `first` on into rows of the store, one after the other.
    pub fn write(&self, from: &Encoded<'_>, first: usize, store: &mut [u32]) {
        match &from.rounded {
            None => {
                let observations = [from.rows.observations, from.rows.next_observations].map(cast_slice::<f32, u32>);
                self.write_as(observations, &from.rows, first, store);
            }
            Some([now, next]) => self.write_as([now, next], &from.rows, first, store),
        }
    }

    fn write_as<T: Pod>(&self, observations: [&[T]; 2], rows: &Transitions<'_>, first: usize, store: &mut [u32]) {
        let Self { observation: width, action, .. } = *self;
        let kept = self.kept();
        for (i, row) in (first..).zip(store.chunks_exact_mut(2 * kept + action + 2)) {
            let (now, rest) = row.split_at_mut(kept);
            let (next, rest) = rest.split_at_mut(kept);
            copy(&observations[0][i * width..][..width], &mut cast_slice_mut(now)[..width]);
            copy(&observations[1][i * width..][..width], &mut cast_slice_mut(next)[..width]);
            copy(cast_slice(&rows.actions[i * action..][..action]), &mut rest[..action]);
            rest[action] = rows.rewards[i].to_bits();
            let truncated = rows.truncated.is_some_and(|flags| flags[i]);
            rest[action + 1] = flag(rows.terminated[i], TERMINATED) | flag(truncated, TRUNCATED);
        }
    }

    /// Reads rows of the store at some places into columns, one after the other.
    pub fn read(&self, store: &[u32], places: &[usize], out: &mut Columns<'_>) {
        let (width, words) = (self.observation, 2 * self.kept() + self.action + 2);
        let mut halves = match self.storage {
            Storage::Float32 => vec![],
            Storage::Float16 => vec![0; 2 * width * TOGETHER],
        };
        for (block, places) in places.chunks(TOGETHER).enumerate() {
            let ends = places.iter().map(|place| store[place * words] ^ store[place * words + words - 1]);
            touch(ends.map(u64::from));
            let mut out = out.part(block * TOGETHER, places.len());
            if self.storage == Storage::Float32 {
                let now = cast_slice_mut::<f32, u32>(out.observations);
                let next = cast_slice_mut::<f32, u32>(out.next_observations);
                self.read_observations(store, places, [now, next]);
            } else {
                let (now, next) = halves.split_at_mut(width * TOGETHER);
                let (now, next) = (&mut now[..places.len() * width], &mut next[..places.len() * width]);
                self.read_observations(store, places, [now, next]);
                now.reinterpret_cast::<f16>().convert_to_f32_slice(out.observations);
                next.reinterpret_cast::<f16>().convert_to_f32_slice(out.next_observations);
            }
            self.read_others(store, places, &mut out);
        }
    }

    fn read_observations<T: Pod>(&self, store: &[u32], places: &[usize], [now, next]: [&mut [T]; 2]) {
        let (width, kept) = (self.observation, self.kept());
        let words = 2 * kept + self.action + 2;
        let rows = now.chunks_exact_mut(width).zip(next.chunks_exact_mut(width));
        for (place, (now, next)) in places.iter().zip(rows) {
            let row = &store[place * words..][..2 * kept];
            copy(&cast_slice(&row[..kept])[..width], now);
            copy(&cast_slice(&row[kept..])[..width], next);
        }
    }

    fn read_others(&self, store: &[u32], places: &[usize], out: &mut Columns<'_>) {
        let (action, before) = (self.action, 2 * self.kept());
        let words = before + action + 2;
        let actions = cast_slice_mut::<f32, u32>(out.actions);
        for (i, (place, to)) in places.iter().zip(actions.chunks_exact_mut(action)).enumerate() {
            let row = &store[place * words + before..][..action + 2];
            copy(&row[..action], to);
            out.rewards[i] = f32::from_bits(row[action]);
            out.terminated[i] = row[action + 1] & TERMINATED != 0;
            out.truncated[i] = row[action + 1] & TRUNCATED != 0;
        }
    }
}

impl Columns<'_> {
    /// So many rows, from `first` on.
    fn part(&mut self, first: usize, rows: usize) -> Columns<'_> {
        let all = self.rewards.len();
        let (wide, action) = (self.observations.len() / all, self.actions.len() / all);
        Columns {
            observations: &mut self.observations[first * wide..][..rows * wide],
            actions: &mut self.actions[first * action..][..rows * action],
            rewards: &mut self.rewards[first..][..rows],
            next_observations: &mut self.next_observations[first * wide..][..rows * wide],
            terminated: &mut self.terminated[first..][..rows],
            truncated: &mut self.truncated[first..][..rows],
        }
    }
}

#[inline(always)]
fn flag(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

/// Refuses numbers that cannot be kept, by their row and, where there are some, their column.
fn check_numbers(name: &str, numbers: &[f32], width: Option<usize>, limit: f32) -> Result<()> {
    // All of them without a branch, since hardly ever one is bad.
    if numbers.iter().fold(true, |sound, x| sound & (x.abs() < limit)) {
        return Ok(());
    }
    let at = numbers.iter().position(|x| x.is_nan() || x.abs() >= limit).unwrap_or(0);
    let place = match width {
        None => format!("{name}[{at}]"),
        Some(width) => format!("{name}[{}, {}]", at / width, at % width),
    };
    let wanted = if limit.is_finite() {
        format!("finite and less than {limit} in size, to be kept as float16")
    } else {
        "finite".into()
    };
    Err(Error::value(place, format!("must be {wanted}, got {}", numbers[at])))
}

/// Copies what is mostly too short for a call: in two pieces, which may overlap.
#[inline(always)]
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    match from.len() {
        1 => to[0] = from[0],
        2..4 => two_pieces::<T, 2>(from, to),
        4..8 => two_pieces::<T, 4>(from, to),
        8..16 => two_pieces::<T, 8>(from, to),
        16..=32 => two_pieces::<T, 16>(from, to),
        _ => to.copy_from_slice(from),
    }
}

#[inline(always)]
fn two_pieces<T: Copy, const N: usize>(from: &[T], to: &mut [T]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        if let Some(place) = to.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = to.last_chunk_mut() {
            *place = *last;
        }
    }
}
