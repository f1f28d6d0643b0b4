//! The replay buffer against a plain list, its arithmetic at every level of vector instructions, and many threads at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use half::f16;
use proptest::prelude::*;
use vecmarket::math::{exp, power};
use vecmarket::replay::{Columns, Exponent, Key, Layout, ReplayBuffer, Sample, Settings, Storage, Transitions};
use vecmarket::rng::{Kind, Streams, fill_uniform};
use vecmarket::simd::{LANES, Lanes, Level, One, Simd, Vector, Work};

/// Rows of a sample or to be added, each in memory of its own.
#[derive(Debug, Clone, PartialEq)]
struct Rows {
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    next_observations: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
    numbers: Vec<i64>,
    weights: Vec<f32>,
}

impl Rows {
    fn empty(layout: Layout, rows: usize) -> Self {
        let wide = vec![f32::NAN; rows * layout.observation];
        Self {
            observations: wide.clone(),
            actions: vec![f32::NAN; rows * layout.action],
            rewards: vec![f32::NAN; rows],
            next_observations: wide,
            terminated: vec![false; rows],
            truncated: vec![false; rows],
            numbers: vec![-1; rows],
            weights: vec![f32::NAN; rows],
        }
    }

    /// Rows whose every number follows from their own, exact in 16 bits.
    fn marked(layout: Layout, marks: impl Iterator<Item = i64> + Clone) -> Self {
        let all = |width: usize, factor: i64| {
            let row = move |mark: i64| (0..width as i64).map(move |i| ((mark * factor + i) % 2003) as f32);
            marks.clone().flat_map(row).collect::<Vec<f32>>()
        };
        Self {
            observations: all(layout.observation, 31),
            actions: all(layout.action, 17),
            rewards: all(1, 7),
            next_observations: all(layout.observation, 13),
            terminated: marks.clone().map(|mark| mark % 2 == 0).collect(),
            truncated: marks.clone().map(|mark| mark % 3 == 0).collect(),
            numbers: marks.clone().collect(),
            weights: marks.map(|_| 1.0).collect(),
        }
    }

    fn add_to(&self, buffer: &ReplayBuffer) {
        let rows = Transitions {
            observations: &self.observations,
            actions: &self.actions,
            rewards: &self.rewards,
            next_observations: &self.next_observations,
            terminated: &self.terminated,
            truncated: Some(&self.truncated),
        };
        buffer.add(rows).expect("good rows");
    }

    fn drawn(buffer: &ReplayBuffer, rows: usize, key: Key, beta: f64) -> Self {
        let mut out = Self::empty(buffer.settings().layout, rows);
        let sample = Sample {
            columns: Columns {
                observations: &mut out.observations,
                actions: &mut out.actions,
                rewards: &mut out.rewards,
                next_observations: &mut out.next_observations,
                terminated: &mut out.terminated,
                truncated: &mut out.truncated,
            },
            rows: &mut out.numbers,
            weights: &mut out.weights,
        };
        buffer.sample(key, beta, sample).expect("a sample");
        out
    }
}

fn buffer(capacity: usize, layout: Layout, alpha: Option<f64>) -> ReplayBuffer {
    let exponent = alpha.map(|alpha| Exponent { alpha, epsilon: 1e-3 });
    ReplayBuffer::new(Settings { capacity, layout, exponent }, 5).expect("a buffer")
}

fn layouts() -> impl Strategy<Value = Layout> {
    let storage = prop_oneof![Just(Storage::Float32), Just(Storage::Float16)];
    (1usize..70, 1usize..40, storage).prop_map(|(observation, action, storage)| Layout { observation, action, storage })
}

proptest! {
    #[test]
    fn rows_come_back_as_they_went_in(
        layout in layouts(),
        capacity in 1usize..200,
        adds in prop::collection::vec(0usize..300, 1..6),
        alpha in prop::option::of(0.0..=1.0),
    ) {
        let buffer = buffer(capacity, layout, alpha);
        let mut added = 0;
        for rows in adds {
            Rows::marked(layout, added..added + rows as i64).add_to(&buffer);
            added += rows as i64;
            prop_assert_eq!(buffer.written().unwrap(), added as u64);
            prop_assert_eq!(buffer.len().unwrap(), capacity.min(added as usize));
            if added > 0 {
                let drawn = Rows::drawn(&buffer, 150, Key::default(), 1.0);
                prop_assert!(drawn.numbers.iter().all(|row| (added - (capacity as i64).min(added)..added).contains(row)));
                prop_assert_eq!(&drawn, &Rows::marked(layout, drawn.numbers.iter().copied()));
            }
        }
    }

    /// By a running sum over all slots, one after the other.
    #[test]
    fn draws_follow_the_running_sum(
        capacity in 1usize..300,
        rows in 1usize..400,
        updates in prop::collection::vec((0.0..1.0, 0f32..1e6), 0..200),
        alpha in 0.0..=1.0,
        draw: u64,
    ) {
        let layout = Layout { observation: 1, action: 1, storage: Storage::Float32 };
        let buffer = buffer(capacity, layout, Some(alpha));
        Rows::marked(layout, 0..rows as i64).add_to(&buffer);
        let weight = |priority: f32| (f64::from(priority) + 1e-3).powf(alpha);
        let oldest = rows.saturating_sub(capacity);
        let mut weights: BTreeMap<usize, f64> = (oldest..rows).map(|row| (row % capacity, weight(1.0))).collect();
        for part in updates.chunks(50) {
            let numbers: Vec<i64> = part.iter().map(|(at, _)| (at * rows as f64) as i64).collect();
            let priorities: Vec<f32> = part.iter().map(|(_, priority)| *priority).collect();
            let there = buffer.update_priorities(&numbers, &priorities).unwrap();
            prop_assert_eq!(there, numbers.iter().filter(|row| **row >= oldest as i64).count());
            for (row, priority) in numbers.iter().zip(&priorities).filter(|(row, _)| **row >= oldest as i64) {
                weights.insert(*row as usize % capacity, weight(*priority));
            }
        }
        let count = 100;
        let drawn = Rows::drawn(&buffer, count, Key { seed: None, draw: Some(draw) }, 0.5);
        let total: f64 = weights.values().sum();
        let least = drawn.numbers.iter().map(|row| weights[&(*row as usize % capacity)]).fold(f64::MAX, f64::min);
        for (j, (row, correction)) in drawn.numbers.iter().zip(&drawn.weights).enumerate() {
            let uniform = Streams::new(5, draw).uniform(j as u32, Kind::Replay, 0);
            let target = (j as f64 + uniform) / count as f64 * total;
            let slot = *row as usize % capacity;
            let start: f64 = weights.range(..slot).map(|(_, weight)| weight).sum();
            let rounding = 1e-12 * total;
            prop_assert!((start - rounding..=start + weights[&slot] + rounding).contains(&target));
            prop_assert!((f64::from(*correction) - (weights[&slot] / least).powf(-0.5)).abs() < 1e-6);
        }
    }

    #[test]
    fn uniform_draws_are_the_same_eight_at_a_time(seed: u64, draw: u64, count in 0usize..40) {
        let expected: Vec<f64> =
            (0..count as u32).map(|step| Streams::new(seed, draw).uniform(step, Kind::Replay, 0)).collect();
        for simd in Level::ALL.iter().filter_map(|level| Simd::of(*level)) {
            let mut drawn = vec![f64::NAN; count];
            fill_uniform(simd, seed, draw, Kind::Replay, &mut drawn);
            prop_assert_eq!(&drawn, &expected);
        }
    }
}

struct Powers {
    numbers: Lanes,
    exponent: f64,
}

impl Work for Powers {
    type Output = [f64; LANES];

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> [f64; LANES] {
        simd.array(power(simd, simd.load(&self.numbers), simd.splat(self.exponent)))
    }
}

#[test]
fn the_exponential_is_within_its_bound() {
    assert_eq!(exp(One, 0.0), 1.0);
    for i in -700_000..=700_000 {
        let x = f64::from(i) / 1000.0;
        let (ours, reference) = (exp(One, x), libm::exp(x));
        assert!((ours / reference - 1.0).abs() <= 1.2e-15, "exp({x}) came out as {ours:e}, not {reference:e}");
    }
}

#[test]
fn powers_are_right_and_the_same_at_every_level() {
    for i in 0..20_000 {
        let exponent = f64::from(i % 201 - 100) / 100.0;
        let x = 10f64.powf(f64::from(i) / 400.0 - 12.0);
        let numbers = Lanes(std::array::from_fn(|lane| x * (1.0 + lane as f64)));
        let one = numbers.0.map(|x| power(One, x, exponent));
        for (x, ours) in numbers.0.iter().zip(one) {
            let reference = libm::pow(*x, exponent);
            assert!((ours / reference - 1.0).abs() <= 4e-14, "{x} to the {exponent} came out as {ours}");
        }
        for simd in Level::ALL.iter().filter_map(|level| Simd::of(*level)) {
            assert_eq!(simd.run(Powers { numbers, exponent }), one);
        }
    }
}

#[test]
fn storage_rounds_to_even() {
    let layout = Layout { observation: 3, action: 1, storage: Storage::Float16 };
    let buffer = buffer(1, layout, None);
    // 2048 and 2050 are neighbours in 16 bits, and so are 2050 and 2052.
    let rows = Rows { observations: vec![2049.0, 2051.0, -2049.0], ..Rows::marked(layout, 0..1) };
    rows.add_to(&buffer);
    assert_eq!(Rows::drawn(&buffer, 1, Key::default(), 1.0).observations, [2048.0, 2052.0, -2048.0]);
    assert_eq!(Storage::Float16.limit(), f32::from(f16::MAX) + 16.0);
    assert!(f16::from_f32(Storage::Float16.limit().next_down()).is_finite());
    assert!(f16::from_f32(Storage::Float16.limit()).is_infinite());
}

/// One thread writes a small buffer over and over, others read it and give it priorities, another saves it.
#[test]
fn no_reader_sees_a_torn_row() {
    for storage in [Storage::Float32, Storage::Float16] {
        let layout = Layout { observation: 33, action: 5, storage };
        let (buffer, capacity) = (&buffer(300, layout, Some(0.6)), 300);
        Rows::marked(layout, 0..capacity).add_to(buffer);
        let (over, rounds) = (&AtomicBool::new(false), &AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for reader in 0..3 {
                scope.spawn(move || {
                    while rounds.fetch_add(1, Relaxed) < 600 {
                        let key = Key { seed: Some(reader), draw: None };
                        let drawn = Rows::drawn(buffer, 400, key, 0.0);
                        assert_eq!(drawn, Rows::marked(layout, drawn.numbers.iter().copied()));
                        buffer.update_priorities(&drawn.numbers, &drawn.rewards).expect("rows that were there");
                    }
                    over.store(true, Relaxed);
                });
            }
            scope.spawn(move || {
                let mut added = capacity;
                while !over.load(Relaxed) {
                    Rows::marked(layout, added..added + 110).add_to(buffer);
                    added += 110;
                }
                assert!(added > 10 * capacity, "{added}");
            });
            scope.spawn(move || {
                let other = self::buffer(capacity as usize, layout, Some(0.6));
                while !over.load(Relaxed) {
                    other.restore(&buffer.snapshot().expect("bytes")).expect("a snapshot");
                    let drawn = Rows::drawn(&other, 400, Key::default(), 0.0);
                    assert_eq!(drawn, Rows::marked(layout, drawn.numbers.iter().copied()));
                }
            });
        });
    }
}

/// Bytes with a good checksum that a buffer never wrote are refused, not believed.
#[test]
fn a_forged_snapshot_is_refused() {
    let layout = Layout { observation: 2, action: 1, storage: Storage::Float32 };
    let buffer = buffer(4, layout, Some(0.5));
    Rows::marked(layout, 0..3).add_to(&buffer);
    let good = buffer.snapshot().expect("bytes");
    let signed = |mut body: Vec<u8>| {
        let checksum = body
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        body.extend(checksum.to_le_bytes());
        body
    };
    let body = good[..good.len() - 8].to_vec();
    assert_eq!(signed(body.clone()), good);
    for at in 4..body.len() {
        for bit in [1, 0x40, 0x80] {
            let mut forged = body.clone();
            forged[at] ^= bit;
            // Whatever comes of it, the buffer can be used.
            if buffer.restore(&signed(forged)).is_ok() && !buffer.is_empty().expect("a buffer") {
                Rows::drawn(&buffer, 20, Key::default(), 1.0);
            }
        }
    }
    for short in 0..body.len() {
        assert!(buffer.restore(&signed(body[..short].to_vec())).is_err());
    }
    let mut weightless = body.clone();
    let last = weightless.len() - 8..;
    weightless[last].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(buffer.restore(&signed(weightless)).is_err());
    buffer.restore(&good).expect("its own snapshot");
    assert_eq!(buffer.snapshot().expect("bytes"), good);
}
