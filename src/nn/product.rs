//! Products of matrices that are a few lines wide: where all the time of a network goes.
//!
//! Blocks of sums stay in registers while the terms go by: 6 rows of four lines where there are registers for it, else of
//! one. Each sum takes its terms in order, whatever its block.

use super::Line;
use super::shape::GROUP;
use crate::simd::{Vector, WIDE, Wide, Work};

/// Rows of a block.
const ROWS: usize = 6;
/// Lines of a block where there are registers for them.
const LINES: usize = 4;

/// Rows of numbers, each so many lines long.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// All lines.
    pub lines: &'a [Line],
    /// Lines of one row.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn row(self, row: usize) -> &'a [Line] {
        &self.lines[row * self.stride..][..self.stride]
    }
}

/// `y[r] = start + sum over k of x[r][k] w[k]`: rows of x times panels of w. A panel has `panel` lines, of which the first
/// `terms` count; there are as many panels as y has lines. `start` holds the first value of each line, or zeros.
#[inline(always)]
pub fn rows_times_panels<V: Vector>(
    simd: V,
    rows: usize,
    x: Rows<'_>,
    (w, panel, terms): (&[Line], usize, usize),
    start: Option<&[Line]>,
    y: &mut [Line],
) {
    simd.apart(RowsTimesPanels { rows, x, w: (w, panel, terms), start, y });
}

struct RowsTimesPanels<'a> {
    rows: usize,
    x: Rows<'a>,
    w: (&'a [Line], usize, usize),
    start: Option<&'a [Line]>,
    y: &'a mut [Line],
}

impl Work for RowsTimesPanels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { rows, x, w: (w, panel, terms), start, y } = self;
        let width = w.len() / panel;
        let mut at = 0;
        if V::ROOMY {
            while at + LINES <= width {
                all_rows::<V, LINES>(simd, rows, x, (w, panel, terms), start, y, width, at);
                at += LINES;
            }
            while at + 2 <= width {
                all_rows::<V, 2>(simd, rows, x, (w, panel, terms), start, y, width, at);
                at += 2;
            }
        }
        while at < width {
            all_rows::<V, 1>(simd, rows, x, (w, panel, terms), start, y, width, at);
            at += 1;
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn all_rows<V: Vector, const C: usize>(
    simd: V,
    rows: usize,
    x: Rows<'_>,
    (w, panel, terms): (&[Line], usize, usize),
    start: Option<&[Line]>,
    y: &mut [Line],
    width: usize,
    at: usize,
) {
    let mut panels: [&[Line]; C] = [&[]; C];
    let mut first = [simd.wide_splat(0.0); C];
    for c in 0..C {
        panels[c] = &w[(at + c) * panel..][..terms];
        if let Some(start) = start {
            first[c] = start[at + c].get(simd);
        }
    }
    let mut row = 0;
    while row + ROWS <= rows {
        block::<V, ROWS, C>(simd, x, row, panels, terms, first, &mut y[row * width..], width, at);
        row += ROWS;
    }
    while row + 2 <= rows {
        block::<V, 2, C>(simd, x, row, panels, terms, first, &mut y[row * width..], width, at);
        row += 2;
    }
    if row < rows {
        block::<V, 1, C>(simd, x, row, panels, terms, first, &mut y[row * width..], width, at);
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn block<V: Vector, const R: usize, const C: usize>(
    simd: V,
    x: Rows<'_>,
    row: usize,
    w: [&[Line]; C],
    terms: usize,
    first: [V::Wide; C],
    y: &mut [Line],
    width: usize,
    at: usize,
) {
    let mut sums = [first; R];
    let mut own: [&[Line]; R] = [&[]; R];
    for r in 0..R {
        own[r] = x.row(row + r);
    }
    for q in 0..terms / WIDE {
        let mut now: [&[Line]; C] = [&[]; C];
        for c in 0..C {
            now[c] = &w[c][q * WIDE..][..WIDE];
        }
        let mut from = [&Line([0.0; WIDE]); R];
        for r in 0..R {
            from[r] = &own[r][q];
        }
        for k in 0..WIDE {
            term::<V, R, C>(simd, &mut sums, from, now, k);
        }
    }
    let done = terms / WIDE * WIDE;
    if done < terms {
        let mut now: [&[Line]; C] = [&[]; C];
        for c in 0..C {
            now[c] = &w[c][done..terms];
        }
        let mut from = [&Line([0.0; WIDE]); R];
        for r in 0..R {
            from[r] = &own[r][done / WIDE];
        }
        for k in 0..(terms - done).min(WIDE) {
            term::<V, R, C>(simd, &mut sums, from, now, k);
        }
    }
    for r in 0..R {
        let to = &mut y[r * width + at..][..C];
        for c in 0..C {
            to[c].set(sums[r][c]);
        }
    }
}

/// Adds the k-th term to every sum of a block.
#[inline(always)]
fn term<V: Vector, const R: usize, const C: usize>(
    simd: V,
    sums: &mut [[V::Wide; C]; R],
    x: [&Line; R],
    w: [&[Line]; C],
    k: usize,
) {
    let mut weights = [simd.wide_splat(0.0); C];
    for c in 0..C {
        weights[c] = w[c][k].get(simd);
    }
    for r in 0..R {
        let x = simd.wide_splat(x[r].0[k]);
        for c in 0..C {
            sums[r][c] = x.times_plus(weights[c], sums[r][c]);
        }
    }
}

/// `sums[c][k] += sum over rows of x[row][k] y[row][c]`: adds to panels, one for each line c of y, with `panel` lines each,
/// one for each number k of x.
#[inline(always)]
pub fn add_outer<V: Vector>(simd: V, rows: usize, x: Rows<'_>, y: Rows<'_>, sums: &mut [Line], panel: usize) {
    simd.apart(AddOuter { rows, x, y, sums, panel });
}

struct AddOuter<'a> {
    rows: usize,
    x: Rows<'a>,
    y: Rows<'a>,
    sums: &'a mut [Line],
    panel: usize,
}

impl Work for AddOuter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { rows, x, y, sums, panel } = self;
        let mut at = 0;
        if V::ROOMY {
            while at + LINES <= y.stride {
                all_groups::<V, LINES>(simd, rows, x, y, sums, panel, at);
                at += LINES;
            }
            while at + 2 <= y.stride {
                all_groups::<V, 2>(simd, rows, x, y, sums, panel, at);
                at += 2;
            }
        }
        while at < y.stride {
            all_groups::<V, 1>(simd, rows, x, y, sums, panel, at);
            at += 1;
        }
    }
}

#[inline(always)]
fn all_groups<V: Vector, const C: usize>(
    simd: V,
    rows: usize,
    x: Rows<'_>,
    y: Rows<'_>,
    sums: &mut [Line],
    panel: usize,
    at: usize,
) {
    for first in (0..panel).step_by(GROUP) {
        let mut block = [[simd.wide_splat(0.0); C]; GROUP];
        for k in 0..GROUP {
            for c in 0..C {
                block[k][c] = sums[(at + c) * panel + first + k].get(simd);
            }
        }
        let (line, lane) = (first / WIDE, first % WIDE);
        let all = x.lines.chunks_exact(x.stride).zip(y.lines.chunks_exact(y.stride));
        for (x, y) in all.take(rows) {
            let factors = &x[line].0[lane..][..GROUP];
            let y = &y[at..][..C];
            let mut terms = [simd.wide_splat(0.0); C];
            for c in 0..C {
                terms[c] = y[c].get(simd);
            }
            for k in 0..GROUP {
                let factor = simd.wide_splat(factors[k]);
                for c in 0..C {
                    block[k][c] = factor.times_plus(terms[c], block[k][c]);
                }
            }
        }
        for k in 0..GROUP {
            for c in 0..C {
                sums[(at + c) * panel + first + k].set(block[k][c]);
            }
        }
    }
}

/// `y[r][j] = start[j] + x[r] . w[j]`, with w in panels of sixteen columns that hold a line for each j: for few j.
#[inline(always)]
pub fn rows_dot_rows<V: Vector>(
    simd: V,
    rows: usize,
    x: Rows<'_>,
    (w, panel, outputs): (&[Line], usize, usize),
    start: &[Line],
    y: &mut [Line],
) {
    simd.apart(RowsDotRows { rows, x, w: (w, panel, outputs), start, y });
}

struct RowsDotRows<'a> {
    rows: usize,
    x: Rows<'a>,
    w: (&'a [Line], usize, usize),
    start: &'a [Line],
    y: &'a mut [Line],
}

impl Work for RowsDotRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { rows, x, w: (w, panel, outputs), start, y } = self;
        for row in 0..rows {
            let own = x.row(row);
            for j in 0..outputs {
                let mut sums = own[0].get(simd) * w[j].get(simd);
                for (own, w) in own.iter().zip(w.chunks_exact(panel)).skip(1) {
                    sums = own.get(simd).times_plus(w[j].get(simd), sums);
                }
                y[row * start.len() + j / WIDE].0[j % WIDE] = start[j / WIDE].0[j % WIDE] + sums.total();
            }
        }
    }
}
