//! Numbers with their sums, to find the one at which a running sum passes a target.

use std::ops::Range;

use super::{TOGETHER, touch, zeros};
use crate::error::Result;
use crate::simd::{LANES, Lanes};

/// Binary digits of a place that one level of the tree resolves.
const STEP: usize = LANES.ilog2() as usize;

/// Eight numbers stand in a node, a line of the cache, and the sum of a node is a number of the level above.
///
/// Every sum is made anew from its eight numbers, so the tree follows from its leaves alone, whatever came before.
#[derive(Debug)]
pub struct SumTree {
    /// The leaves, their sums, ..., and last a level of one node.
    levels: Vec<Vec<Lanes>>,
}

impl SumTree {
    /// So many leaves, all zero.
    pub fn new(leaves: usize) -> Result<Self> {
        let mut nodes = leaves.div_ceil(LANES).max(1);
        let mut levels = vec![zeros(nodes)?];
        while nodes > 1 {
            nodes = nodes.div_ceil(LANES);
            levels.push(zeros(nodes)?);
        }
        Ok(Self { levels })
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(|level| size_of_val(level.as_slice())).sum()
    }

    /// The sum of all leaves.
    pub fn total(&self) -> f64 {
        self.levels.last().map_or(0.0, |top| sum(&top[0]))
    }

    /// The number at a leaf.
    pub fn leaf(&self, at: usize) -> f64 {
        self.levels[0][at / LANES][at % LANES]
    }

    /// Sets all leaves to zero.
    pub fn clear(&mut self) {
        self.levels.iter_mut().for_each(|level| level.fill(Lanes::default()));
    }

    /// Gives all leaves of a range one number.
    pub fn fill(&mut self, range: Range<usize>, number: f64) {
        if range.is_empty() {
            return;
        }
        range.clone().for_each(|at| self.put(0, at, number));
        let (mut first, mut last) = (range.start, range.end - 1);
        for level in 1..self.levels.len() {
            (first, last) = (first >> STEP, last >> STEP);
            (first..=last).for_each(|at| self.refresh(level, at));
        }
    }

    /// Gives leaves new numbers, one after the other: where a leaf is named twice, the later one stays.
    pub fn set(&mut self, places: &[usize], numbers: &[f64]) {
        for (&at, &number) in places.iter().zip(numbers) {
            self.put(0, at, number);
        }
        for level in 1..self.levels.len() {
            let sums = self.levels[level - 1].len();
            if sums <= places.len() {
                (0..sums).for_each(|at| self.refresh(level, at));
            } else {
                places.iter().for_each(|at| self.refresh(level, at >> (STEP * level)));
            }
        }
    }

    /// Replaces each target, in [0, total), by the place of the leaf at which the running sum passes it.
    ///
    /// A leaf of zero is never found, whatever the rounding, unless all are zero. Level after level, and the nodes of many
    /// targets asked for together: the way of one target through memory is a chain of waits.
    pub fn find(&self, targets: &mut [f64], places: &mut [usize]) {
        places.fill(0);
        for (places, targets) in places.chunks_mut(TOGETHER).zip(targets.chunks_mut(TOGETHER)) {
            for level in self.levels.iter().rev() {
                touch(places.iter().map(|place| level[*place][0].to_bits()));
                for (place, target) in places.iter_mut().zip(targets.iter_mut()) {
                    let (lane, before) = child(&level[*place], *target);
                    *place = (*place << STEP) | lane;
                    *target -= before;
                }
            }
        }
    }

    fn put(&mut self, level: usize, at: usize, number: f64) {
        self.levels[level][at / LANES][at % LANES] = number;
    }

    /// Sums a node of the level below.
    fn refresh(&mut self, level: usize, at: usize) {
        let number = sum(&self.levels[level - 1][at]);
        self.put(level, at, number);
    }
}

fn sum(node: &Lanes) -> f64 {
    node.0.iter().sum()
}

/// The first number at whose end the sum has passed the target, and where it begins.
#[inline(always)]
fn child(node: &Lanes, target: f64) -> (usize, f64) {
    let mut ends = [0.0; LANES + 1];
    for l in 0..LANES {
        ends[l + 1] = ends[l] + node[l];
    }
    let passed = ends[1..].iter().map(|end| usize::from(*end <= target)).sum();
    // Rounding may leave a target at or behind the end of all.
    let lane = if passed < LANES { passed } else { node.0.iter().rposition(|x| *x > 0.0).unwrap_or(0) };
    (lane, ends[lane])
}
