//! Lanes become rows of the caller's buffers. A shard's last block may have fewer rows than lanes.

use crate::simd::{LANES, Lanes, Vector};

/// Columns that are turned into rows together.
const ABREAST: usize = 4;

/// One value of each environment of a block.
#[inline(always)]
pub fn market<T: Copy>(lanes: &[T; LANES], rows: &mut [T]) {
    match rows.first_chunk_mut() {
        Some(rows) => *rows = *lanes,
        None => rows.copy_from_slice(&lanes[..rows.len()]),
    }
}

/// Columns of a block that are to be rows.
pub trait Columns<T> {
    /// How many.
    fn width(&self) -> usize;
    /// Four of them as rows.
    fn four<V: Vector>(&self, simd: V, first: usize) -> [[T; ABREAST]; LANES];
    /// One of them.
    fn one(&self, column: usize) -> [T; LANES];
}

impl Columns<f64> for [Lanes] {
    #[inline(always)]
    fn width(&self) -> usize {
        self.len()
    }
    #[inline(always)]
    fn four<V: Vector>(&self, simd: V, first: usize) -> [[f64; ABREAST]; LANES] {
        let [a, b, c, d] = &self.as_chunks().0[first / ABREAST];
        simd.rows([simd.load(a), simd.load(b), simd.load(c), simd.load(d)])
    }
    #[inline(always)]
    fn one(&self, column: usize) -> [f64; LANES] {
        self[column].0
    }
}

impl Columns<f32> for [[f32; LANES]] {
    #[inline(always)]
    fn width(&self) -> usize {
        self.len()
    }
    #[inline(always)]
    fn four<V: Vector>(&self, simd: V, first: usize) -> [[f32; ABREAST]; LANES] {
        simd.short_rows(self.as_chunks().0[first / ABREAST])
    }
    #[inline(always)]
    fn one(&self, column: usize) -> [f32; LANES] {
        self[column]
    }
}

/// One number of each agent: columns to (rows, A).
#[inline(always)]
pub fn agents<V: Vector, T: Copy, C: Columns<T> + ?Sized>(simd: V, columns: &C, buffer: &mut [T]) {
    let width = columns.width();
    let Some(rows) = eight(buffer, width) else {
        return part(columns, buffer);
    };
    let (mut wide, mut narrow): ([&mut [[T; ABREAST]]; LANES], [&mut [T]; LANES]) = Default::default();
    for (l, row) in rows.into_iter().enumerate() {
        (wide[l], narrow[l]) = row.as_chunks_mut();
    }
    for i in 0..width / ABREAST {
        let block = columns.four(simd, i * ABREAST);
        for l in 0..LANES {
            wide[l][i] = block[l];
        }
    }
    for i in 0..width % ABREAST {
        let column = columns.one(width / ABREAST * ABREAST + i);
        for l in 0..LANES {
            narrow[l][i] = column[l];
        }
    }
}

/// The rows of a whole block, each `width` long.
#[inline(always)]
fn eight<T>(buffer: &mut [T], width: usize) -> Option<[&mut [T]; LANES]> {
    let mut rest = buffer;
    let mut rows: [&mut [T]; LANES] = Default::default();
    for row in &mut rows {
        (*row, rest) = rest.split_at_mut_checked(width)?;
    }
    Some(rows)
}

/// Fewer rows than lanes.
#[inline(never)]
fn part<T: Copy, C: Columns<T> + ?Sized>(columns: &C, buffer: &mut [T]) {
    for column in 0..columns.width() {
        for (row, x) in buffer.chunks_exact_mut(columns.width()).zip(columns.one(column)) {
            row[column] = x;
        }
    }
}
