//! Prioritised replay: rows are drawn in proportion to powers of their priorities (Schaul, Quan, Antonoglou and Silver,
//! "Prioritized experience replay", ICLR 2016, the proportional variant).

use std::ops::Range;

use super::sum_tree::SumTree;
use crate::error::{Error, Result};
use crate::math::power;
use crate::simd::{LANES, Lanes, Simd, Vector, Work};

/// How priorities become probabilities: P(i) is in proportion to `(priority + epsilon)^alpha`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponent {
    /// In [0, 1]; 0 draws all rows alike.
    pub alpha: f64,
    /// What keeps a priority of zero from never being drawn.
    pub epsilon: f64,
}

/// What `epsilon` can be: far from what a power of it could lose.
const EPSILON: std::ops::RangeInclusive<f64> = 1e-12..=1e12;

impl Exponent {
    /// Checks both numbers.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(Error::value("alpha", format!("must be in [0, 1], got {}", self.alpha)));
        }
        if !EPSILON.contains(&self.epsilon) {
            return Err(Error::value("epsilon", format!("must be in [1e-12, 1e12], got {}", self.epsilon)));
        }
        Ok(())
    }

    /// The weights of priorities, which are finite and not negative.
    pub fn weights(&self, simd: Simd, priorities: &[f32]) -> Vec<f64> {
        let mut weights: Vec<f64> = priorities.iter().map(|&p| f64::from(p) + self.epsilon).collect();
        simd.run(Powers { numbers: &mut weights, exponent: self.alpha });
        weights
    }
}

/// The weight of every slot, and the weight of rows that are new.
#[derive(Debug)]
pub struct Priorities {
    tree: SumTree,
    /// The largest weight that was ever given: a new row is drawn soon.
    pub largest: f64,
}

impl Priorities {
    /// Of so many slots, all empty. The first rows have priority 1.
    pub fn new(simd: Simd, exponent: Exponent, slots: usize) -> Result<Self> {
        Ok(Self { tree: SumTree::new(slots)?, largest: exponent.weights(simd, &[1.0])[0] })
    }

    /// Gives slots to new rows.
    pub fn renew(&mut self, slots: Range<usize>) {
        self.tree.fill(slots, self.largest);
    }

    /// Gives slots new weights, one after the other.
    pub fn set(&mut self, slots: &[usize], weights: &[f64]) {
        self.tree.set(slots, weights);
        self.largest = weights.iter().copied().fold(self.largest, f64::max);
    }

    /// Forgets everything and takes the weights of some slots.
    pub fn replace(&mut self, slots: &[usize], weights: &[f64], largest: f64) {
        self.tree.clear();
        self.tree.set(slots, weights);
        self.largest = largest;
    }

    /// The weight of a slot.
    pub fn weight(&self, slot: usize) -> f64 {
        self.tree.leaf(slot)
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.tree.bytes()
    }

    /// Draws slots by uniform numbers in (0, 1): the j-th of n from the j-th of n equal parts of the whole weight.
    pub fn draw(&self, mut uniforms: Vec<f64>, slots: &mut [usize]) {
        let part = self.tree.total() / uniforms.len() as f64;
        for (j, uniform) in uniforms.iter_mut().enumerate() {
            *uniform = (j as f64 + *uniform) * part;
        }
        self.tree.find(&mut uniforms, slots);
    }

    /// Importance weights of drawn slots, `(N P(i))^-beta` over the largest of them.
    pub fn correct(&self, simd: Simd, slots: &[usize], beta: f64, out: &mut [f32]) {
        let mut ratios: Vec<f64> = slots.iter().map(|&slot| self.weight(slot)).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        ratios.iter_mut().for_each(|weight| *weight /= least);
        simd.run(Powers { numbers: &mut ratios, exponent: -beta });
        for (out, ratio) in out.iter_mut().zip(ratios) {
            *out = ratio as f32;
        }
    }
}

/// Raises numbers to a power, eight at a time.
struct Powers<'a> {
    numbers: &'a mut [f64],
    exponent: f64,
}

impl Work for Powers<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let exponent = simd.splat(self.exponent);
        for numbers in self.numbers.chunks_mut(LANES) {
            let mut lanes = Lanes::splat(1.0);
            lanes.0[..numbers.len()].copy_from_slice(numbers);
            let raised = simd.array(power(simd, simd.load(&lanes), exponent));
            numbers.copy_from_slice(&raised[..numbers.len()]);
        }
    }
}
