//! Lanes become rows of the caller's buffers. A shard's last block may have fewer rows than lanes.

use crate::simd::{LANES, Lanes, Vector};

/// Columns that are turned into rows together.
const ABREAST: usize = 4;

/// One number of each environment: (blocks,) lanes to (S,).
#[inline(always)]
pub fn markets(blocks: &[Lanes], rows: &mut [f64]) {
    for (rows, lanes) in rows.chunks_mut(LANES).zip(blocks) {
        match rows.first_chunk_mut() {
            Some(rows) => *rows = lanes.0,
            None => rows.copy_from_slice(&lanes.0[..rows.len()]),
        }
    }
}

/// One number of each agent: (A,) lanes to (rows, A).
#[inline(always)]
pub fn lanes<V: Vector>(simd: V, columns: &[Lanes], buffer: &mut [f64]) {
    let four = |columns: &[Lanes; ABREAST]| simd.rows(std::array::from_fn(|i| simd.load(&columns[i])));
    turn(columns, buffer, four, |lanes| lanes.0);
}

/// One short number of each agent: (L,) lanes to (rows, L).
#[inline(always)]
pub fn short<V: Vector>(simd: V, columns: &[[f32; LANES]], buffer: &mut [f32]) {
    turn(columns, buffer, |columns| simd.short_rows(*columns), |lanes| *lanes);
}

/// Columns of a whole block four by four, what is left of them one by one.
#[inline(always)]
fn turn<C, T: Copy>(
    columns: &[C],
    buffer: &mut [T],
    four: impl Fn(&[C; ABREAST]) -> [[T; ABREAST]; LANES],
    one: impl Fn(&C) -> [T; LANES],
) {
    let width = columns.len();
    let Some(rows) = eight(buffer, width) else {
        return turn_part(columns, buffer, one);
    };
    let (fours, rest) = columns.as_chunks();
    let (mut wide, mut narrow): ([&mut [[T; ABREAST]]; LANES], [&mut [T]; LANES]) = Default::default();
    for (l, row) in rows.into_iter().enumerate() {
        (wide[l], narrow[l]) = row.as_chunks_mut();
    }
    for (i, columns) in fours.iter().enumerate() {
        for (row, x) in wide.iter_mut().zip(four(columns)) {
            row[i] = x;
        }
    }
    for (i, column) in rest.iter().enumerate() {
        for (row, x) in narrow.iter_mut().zip(one(column)) {
            row[i] = x;
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
fn turn_part<C, T: Copy>(columns: &[C], buffer: &mut [T], one: impl Fn(&C) -> [T; LANES]) {
    for (i, column) in columns.iter().enumerate() {
        for (row, x) in buffer.chunks_exact_mut(columns.len()).zip(one(column)) {
            row[i] = x;
        }
    }
}
