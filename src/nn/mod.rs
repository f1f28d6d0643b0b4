//! Small dense networks in single precision: shapes, forward and backward over tiles of rows that stay in a core's cache.
//!
//! Every sum over inputs, outputs or rows is taken in order, one term after another, whatever the width of the vectors, the
//! number of rows in a call or the thread: results depend on none of them.

mod backward;
mod forward;
mod functions;
mod product;
mod shape;

pub use backward::backward;
pub use forward::{Tile, forward};
pub use functions::exp;
pub use product::{Rows, add_outer, rows_dot_rows, rows_times_panels};
pub use shape::{Activation, Network, Shape};

use crate::simd::{Vector, WIDE, Wide};

/// Rows that are computed together: with two hidden layers of 64 their numbers take half of a core's first cache.
pub const TILE: usize = 48;

/// Sixteen neighbouring numbers of a row, or zeros where the row is shorter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Line(pub [f32; WIDE]);

impl Line {
    /// As a vector.
    #[inline(always)]
    pub fn get<V: Vector>(&self, simd: V) -> V::Wide {
        simd.wide(self.0)
    }

    /// From a vector.
    #[inline(always)]
    pub fn set<W: Wide>(&mut self, x: W) {
        self.0 = x.array();
    }
}

/// Lines for so many numbers.
pub const fn lines(numbers: usize) -> usize {
    numbers.div_ceil(WIDE)
}
