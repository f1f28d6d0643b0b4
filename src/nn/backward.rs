//! From the gradients of a tile's outputs to those of the weights.

use super::forward::Tile;
use super::product::{Rows, add_outer, rows_times_panels};
use super::shape::{Activation, Network};
use super::{Line, lines};
use crate::simd::{Vector, Wide};

/// Adds the gradients of the weights to `sums`, packed as the weights are, given those of the outputs of the first rows in
/// `tile.gradients[0]`, (rows, lines of the outputs), zero beyond the outputs. The tile is as [`super::forward`] left it.
#[inline(always)]
pub fn backward<V: Vector>(
    simd: V,
    network: &Network,
    packed: &[Line],
    transposed: &[Line],
    tile: &mut Tile,
    rows: usize,
    sums: &mut [Line],
) {
    for (i, layer) in network.layers.iter().enumerate().rev() {
        let Tile { layers, slopes, gradients: [after, before] } = &mut *tile;
        let dy = Rows { lines: &after[..rows * lines(layer.outputs)], stride: lines(layer.outputs) };
        let x = Rows { lines: &layers[i], stride: lines(layer.inputs) };
        add_rows(simd, dy, &mut sums[layer.biases..][..dy.stride]);
        let of_weights = &mut sums[layer.weights..layer.biases];
        if layer.is_head {
            add_outer(simd, rows, dy, x, of_weights, layer.panel());
        } else {
            add_outer(simd, rows, x, dy, of_weights, layer.panel());
        }
        if i == 0 {
            return;
        }
        let weights = if layer.is_head {
            (&packed[layer.weights..layer.biases], layer.panel(), layer.outputs)
        } else {
            (&transposed[layer.transposed..][..x.stride * layer.outputs], layer.outputs, layer.outputs)
        };
        let dx = &mut before[..rows * x.stride];
        rows_times_panels(simd, rows, dy, weights, None, dx);
        times_slope(simd, network.shape.activation, &layers[i], slopes.get(i - 1), dx);
        tile.gradients.swap(0, 1);
    }
}

/// Adds up rows, four lines of them at a time: one after the other, each would wait for the sum before.
#[inline(always)]
fn add_rows<V: Vector>(simd: V, rows: Rows<'_>, sums: &mut [Line]) {
    let (fours, rest) = sums.as_chunks_mut::<4>();
    let done = 4 * fours.len();
    for (i, four) in fours.iter_mut().enumerate() {
        add_lines(simd, rows, 4 * i, four);
    }
    for (i, one) in rest.iter_mut().enumerate() {
        add_lines(simd, rows, done + i, std::array::from_mut(one));
    }
}

#[inline(always)]
fn add_lines<V: Vector, const C: usize>(simd: V, rows: Rows<'_>, at: usize, sums: &mut [Line; C]) {
    let mut totals = [simd.wide_splat(0.0); C];
    for c in 0..C {
        totals[c] = sums[c].get(simd);
    }
    for row in rows.lines.chunks_exact(rows.stride) {
        let row = &row[at..][..C];
        for c in 0..C {
            totals[c] = totals[c] + row[c].get(simd);
        }
    }
    for c in 0..C {
        sums[c].set(totals[c]);
    }
}

/// Multiplies gradients of activations by their slopes.
#[inline(always)]
fn times_slope<V: Vector>(
    simd: V,
    activation: Activation,
    values: &[Line],
    slopes: Option<&Vec<Line>>,
    gradients: &mut [Line],
) {
    match activation {
        Activation::Tanh => {
            for (gradient, value) in gradients.iter_mut().zip(values) {
                let value = value.get(simd);
                gradient.set(gradient.get(simd) * (simd.wide_splat(1.0) - value * value));
            }
        }
        Activation::Relu => {
            for (gradient, value) in gradients.iter_mut().zip(values) {
                gradient.set(gradient.get(simd) * simd.wide_splat(0.0).is_below(value.get(simd)));
            }
        }
        Activation::Silu => {
            for (gradient, slope) in gradients.iter_mut().zip(slopes.into_iter().flatten()) {
                gradient.set(gradient.get(simd) * slope.get(simd));
            }
        }
    }
}
