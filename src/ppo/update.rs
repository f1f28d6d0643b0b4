//! The epochs of an update: minibatches, their gradients piece by piece, and a step of Adam for each.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::adam;
use super::learner::{Brain, Learner};
use super::loss::{ADVANTAGE, Columns, FACTS, SUMS, Terms};
use super::samples::{Samples, Settings};
use crate::error::{Error, Result};
use crate::nn::{Line, TILE, Tile, backward, forward, lines};
use crate::pool::Pool;
use crate::rng::{Kind, Streams};
use crate::simd::{LANES, Simd, Vector, WIDE, Work};

/// Rows of a piece of a minibatch are at least so many, so that adding its gradients to the others' costs little ...
const LEAST: usize = 4 * TILE;
/// ... and pieces are at most so many, so that their gradients do not fill the caches.
const PIECES: usize = 16;

/// Means over all minibatches of an update.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Policy loss, value loss, divergence, share of clipped ratios.
    pub losses: [f64; SUMS],
    /// Epochs taken.
    pub epochs: usize,
}

/// Working memory of a learner's updates.
#[derive(Debug)]
pub struct Updater {
    /// Each sample in lines of its own: observation, mapped; action; facts.
    records: Vec<Line>,
    order: Vec<u32>,
    pieces: Vec<Mutex<Piece>>,
    desks: Vec<Mutex<Desk>>,
}

/// What a piece of a minibatch adds up to.
#[derive(Debug)]
struct Piece {
    gradients: Vec<Line>,
    sums: [Line; SUMS],
}

/// What a thread works with.
#[derive(Debug)]
struct Desk {
    actor: Tile,
    critic: Tile,
    columns: Columns,
}

impl Updater {
    /// For a learner's shape and so many threads.
    pub fn new(brain: &Brain, threads: usize) -> Self {
        let piece = || Piece { gradients: vec![Line::default(); brain.lines()], sums: [Line::default(); SUMS] };
        let desk = || Desk {
            actor: Tile::new(&brain.actor),
            critic: Tile::new(&brain.critic),
            columns: Columns::new(brain.plan.actions),
        };
        Self {
            records: vec![],
            order: vec![],
            pieces: (0..PIECES).map(|_| Mutex::new(piece())).collect(),
            desks: (0..threads).map(|_| Mutex::new(desk())).collect(),
        }
    }

    /// Takes the epochs of an update; `key` and `round` name its shuffles. Nothing is learned from no samples.
    pub fn update(
        &mut self,
        simd: Simd,
        pool: &Pool,
        learner: &mut Learner,
        samples: Samples<'_>,
        settings: &Settings,
        (key, round): (u64, u64),
    ) -> Result<Figures> {
        let count = samples.count();
        if u32::try_from(count).is_err() {
            return Err(Error::value("samples", format!("must be fewer than 2^32, got {count}")));
        }
        self.file(learner, samples);
        let mut figures = Figures::default();
        let mut batches = 0;
        let epochs = if count == 0 { 0 } else { settings.epochs };
        for epoch in 0..epochs {
            self.shuffle(count, key, round, epoch);
            let (mut divergence, parts) = (0.0, settings.minibatches.min(count));
            for part in 0..parts {
                // As torch splits a tensor: the first parts are the longer ones.
                let (size, longer) = (count / parts, count % parts);
                let first = part * size + part.min(longer);
                let rows = first..first + size + usize::from(part < longer);
                let share = 1.0 / rows.len() as f64;
                let sums = self.gradient(simd, pool, learner, rows, settings)?;
                self.step(simd, learner, settings);
                for (total, sum) in figures.losses.iter_mut().zip(sums) {
                    *total += sum * share;
                }
                divergence += sums[2] * share;
                batches += 1;
            }
            figures.epochs = epoch + 1;
            if settings.target_kl.is_some_and(|most| divergence / parts as f64 > most) {
                break;
            }
        }
        for total in &mut figures.losses {
            *total /= f64::from(batches);
        }
        Ok(figures)
    }

    /// The gradient of the loss over all samples as one minibatch, in the order of the torch module, and its parts.
    pub fn gradient_of(
        &mut self,
        simd: Simd,
        pool: &Pool,
        learner: &Learner,
        samples: Samples<'_>,
        settings: &Settings,
    ) -> Result<(Vec<f32>, [f64; SUMS])> {
        let count = samples.count();
        self.file(learner, samples);
        self.order = (0..count as u32).collect();
        let sums = self.gradient(simd, pool, learner, 0..count, settings)?;
        let gradients = learner.brain.unpack(&own(&self.pieces[0]).gradients);
        Ok((gradients, sums.map(|sum| sum / count as f64)))
    }

    /// Copies the samples into records: epochs go over them in another order each time, and a record is one or two lines
    /// of the cache.
    fn file(&mut self, learner: &Learner, samples: Samples<'_>) {
        let plan = &learner.brain.plan;
        let (features, actions, width) = (plan.features, plan.actions, record_lines(learner));
        self.records.resize(samples.count() * width, Line::default());
        for (record, at) in self.records.chunks_exact_mut(width).zip(samples.places()) {
            let mut numbers = record.iter_mut().flat_map(|line| &mut line.0);
            let map = learner.centre.iter().zip(&learner.factor);
            let observation = &samples.observations[at * features..][..features];
            // The one that ends first stands first: nothing is taken from the others then.
            for ((x, (centre, factor)), number) in observation.iter().zip(map).zip(numbers.by_ref()) {
                *number = (x - centre) * factor;
            }
            let facts = [samples.log_probs[at], samples.advantages[at], samples.returns[at], samples.values[at]];
            let rest = samples.actions[at * actions..][..actions].iter().chain(&facts);
            for (number, x) in numbers.zip(rest) {
                *number = *x;
            }
        }
    }

    /// Fisher and Yates's shuffle.
    fn shuffle(&mut self, count: usize, key: u64, round: u64, epoch: usize) {
        self.order.clear();
        self.order.extend(0..count as u32);
        let streams = Streams::new(key, round);
        let mut words = [0; 4];
        for (drawn, i) in (1..count).rev().enumerate() {
            if drawn % 4 == 0 {
                words = streams.words((drawn / 4) as u32, Kind::Shuffle, epoch as u32);
            }
            // Less than one in 2^32 more likely than another place.
            let j = (u64::from(words[drawn % 4]) * (i as u64 + 1)) >> 32;
            self.order.swap(i, j as usize);
        }
    }

    /// Leaves the gradient of a minibatch, `rows` of the order, in the first piece, and returns the sums of its losses.
    fn gradient(
        &mut self,
        simd: Simd,
        pool: &Pool,
        learner: &Learner,
        rows: std::ops::Range<usize>,
        settings: &Settings,
    ) -> Result<[f64; SUMS]> {
        let order = &self.order[rows];
        let share = 1.0 / order.len() as f32;
        let (mean, factor) = if settings.normalise_advantages && order.len() > 1 {
            self.advantage_scale(learner, order)
        } else {
            (0.0, 1.0)
        };
        let terms = Terms {
            clip: settings.clip_range,
            value_clip: settings.value_clip_range.unwrap_or(f32::INFINITY),
            value_weight: settings.value_coefficient,
            mean,
            factor,
            share,
        };
        let size = order.len().div_ceil(PIECES).next_multiple_of(TILE).max(LEAST);
        let pieces = order.len().div_ceil(size);
        let (next, seat) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.share(pool.threads().min(pieces).min(self.desks.len()), &|| {
            let mut desk = own(&self.desks[seat.fetch_add(1, Relaxed)]);
            loop {
                let i = next.fetch_add(1, Relaxed);
                let Some(order) = order.chunks(size).nth(i) else { break };
                let mut piece = own(&self.pieces[i]);
                simd.run(Differentiate {
                    learner,
                    records: &self.records,
                    order,
                    terms,
                    desk: &mut desk,
                    piece: &mut piece,
                });
            }
        })?;
        Ok(self.add_up(learner, pieces, settings))
    }

    /// Mean of a minibatch's advantages, and one through their standard deviation.
    fn advantage_scale(&self, learner: &Learner, order: &[u32]) -> (f32, f32) {
        let width = record_lines(learner);
        let place = learner.brain.plan.features + learner.brain.plan.actions + ADVANTAGE;
        let (line, lane) = (place / WIDE, place % WIDE);
        // They are scaled already, by the rewards' deviation if not step by step: squares lose nothing that counts.
        // Several sums at a time: each waits for its last term.
        let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
        for rows in order.chunks(LANES) {
            for ((row, sum), square) in rows.iter().zip(&mut sums).zip(&mut squares) {
                let x = f64::from(self.records[*row as usize * width + line].0[lane]);
                *sum += x;
                *square += x * x;
            }
        }
        let (sum, squares) = (sums.iter().sum::<f64>(), squares.iter().sum::<f64>());
        let count = order.len() as f64;
        let mean = sum / count;
        let variance = (squares - sum * mean).max(0.0) / (count - 1.0);
        (mean as f32, (1.0 / (variance.sqrt() + 1e-8)) as f32)
    }

    /// Adds the pieces to the first, in order, and takes in what does not come from samples.
    fn add_up(&self, learner: &Learner, pieces: usize, settings: &Settings) -> [f64; SUMS] {
        let mut first = own(&self.pieces[0]);
        for piece in &self.pieces[1..pieces] {
            let piece = own(piece);
            let lines = piece.gradients.iter().chain(&piece.sums);
            let Piece { gradients, sums } = &mut *first;
            for (sum, line) in gradients.iter_mut().chain(sums).zip(lines) {
                for (sum, x) in sum.0.iter_mut().zip(line.0) {
                    *sum += x;
                }
            }
        }
        let plan = &learner.brain.plan;
        let of_spread = &mut first.gradients[learner.brain.spread_at()..];
        for i in 0..plan.actions {
            // The entropy grows by one with each log standard deviation.
            let x = &mut of_spread[i / WIDE].0[i % WIDE];
            *x = if plan.learns_spread { *x - settings.entropy_coefficient } else { 0.0 };
        }
        first.sums.map(|line| line.0.iter().map(|x| f64::from(*x)).sum())
    }

    /// Clips the gradient in the first piece and takes a step of Adam.
    fn step(&self, simd: Simd, learner: &mut Learner, settings: &Settings) {
        let piece = own(&self.pieces[0]);
        let norm = simd.run(adam::SquaredNorm(&piece.gradients)).sqrt();
        simd.run(adam::Step {
            packed: &mut learner.packed,
            gradients: &piece.gradients,
            moments: &mut learner.moments,
            factor: (settings.max_gradient_norm / (norm + 1e-6)).min(1.0),
            learning_rate: settings.learning_rate,
        });
        learner.transpose();
    }
}

/// Lines of one sample.
fn record_lines(learner: &Learner) -> usize {
    lines(learner.brain.plan.features + learner.brain.plan.actions + FACTS)
}

fn own<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The gradient of one piece of a minibatch.
struct Differentiate<'a> {
    learner: &'a Learner,
    records: &'a [Line],
    order: &'a [u32],
    terms: Terms,
    desk: &'a mut Desk,
    piece: &'a mut Piece,
}

impl Work for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { learner, records, order, terms, desk, piece } = self;
        piece.gradients.fill(Line::default());
        piece.sums.fill(Line::default());
        for order in order.chunks(TILE) {
            tile(simd, learner, records, order, terms, desk, piece);
        }
    }
}

#[inline(always)]
fn tile<V: Vector>(
    simd: V,
    learner: &Learner,
    records: &[Line],
    order: &[u32],
    terms: Terms,
    desk: &mut Desk,
    piece: &mut Piece,
) {
    let Desk { actor, critic, columns } = desk;
    let brain = &learner.brain;
    let (features, actions) = (brain.plan.features, brain.plan.actions);
    let (width, stride, rows) = (record_lines(learner), lines(features), order.len());
    let fact = features + actions;
    // Asked for all at once, records that are not in a near cache come together.
    let mut touched = 0.0;
    for row in order {
        touched += records[*row as usize * width].0[0];
    }
    std::hint::black_box(touched);
    for (i, row) in order.iter().enumerate() {
        let record = &records[*row as usize * width..][..width];
        let number = |place: usize| record[place / WIDE].0[place % WIDE];
        for (q, (into, from)) in actor.layers[0][i * stride..][..stride].iter_mut().zip(record).enumerate() {
            for lane in 0..WIDE {
                into.0[lane] = if q * WIDE + lane < features { from.0[lane] } else { 0.0 };
            }
        }
        for (part, column) in columns.actions.iter_mut().enumerate() {
            column[i] = number(features + part);
        }
        for (part, column) in columns.facts.iter_mut().enumerate() {
            column[i] = number(fact + part);
        }
    }
    columns.counts = [0.0; TILE];
    columns.counts[..rows].fill(1.0);
    let inputs = rows * stride;
    critic.layers[0][..inputs].copy_from_slice(&actor.layers[0][..inputs]);

    let packed = &learner.packed;
    let (of_actor, others) = packed.split_at(brain.critic_at());
    let (of_critic, spread) = others.split_at(brain.critic.lines);
    forward(simd, &brain.actor, of_actor, actor, rows);
    forward(simd, &brain.critic, of_critic, critic, rows);
    for row in 0..rows {
        let means = actor.outputs(row);
        for (i, column) in columns.means.iter_mut().enumerate() {
            column[row] = means[i / WIDE].0[i % WIDE];
        }
        columns.values[row] = critic.outputs(row)[0].0[0];
    }
    let (gradients, of_spread) = piece.gradients.split_at_mut(brain.spread_at());
    columns.differentiate(simd, terms, spread, &mut piece.sums, of_spread);
    columns.put_gradients(rows, &mut actor.gradients[0], &mut critic.gradients[0]);
    let (sums_of_actor, sums_of_critic) = gradients.split_at_mut(brain.critic_at());
    let [transposed_actor, transposed_critic] = &learner.transposed;
    backward(simd, &brain.actor, of_actor, transposed_actor, actor, rows, sums_of_actor);
    backward(simd, &brain.critic, of_critic, transposed_critic, critic, rows, sums_of_critic);
}
