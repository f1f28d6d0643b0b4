//! From a tile of inputs to its outputs.

use super::functions::{logistic, tanh};
use super::product::{Rows, rows_dot_rows, rows_times_panels};
use super::shape::{Activation, Network};
use super::{Line, TILE, lines};
use crate::simd::{Vector, WIDE, Wide, Work};

/// The numbers of up to [`TILE`] rows on their way through a network, layer by layer.
#[derive(Debug, Clone)]
pub struct Tile {
    /// The inputs, then what each layer makes of them: rows of whole lines.
    pub layers: Vec<Vec<Line>>,
    /// Slopes of the activations, of those that do not follow from the values.
    pub slopes: Vec<Vec<Line>>,
    /// Gradients of a layer's outputs, and of its inputs.
    pub gradients: [Vec<Line>; 2],
}

impl Tile {
    /// Room for a network's numbers.
    pub fn new(network: &Network) -> Self {
        let room = |width: usize| vec![Line::default(); TILE * lines(width)];
        let layers: Vec<_> = std::iter::once(room(network.shape.inputs))
            .chain(network.layers.iter().map(|layer| room(layer.outputs)))
            .collect();
        let widest = layers.iter().map(Vec::len).max().unwrap_or(0);
        let slopes = match network.shape.activation {
            Activation::Silu => network.shape.hidden.iter().map(|width| room(*width)).collect(),
            Activation::Tanh | Activation::Relu => vec![],
        };
        let gradients = [vec![Line::default(); widest], vec![Line::default(); widest]];
        Self { layers, slopes, gradients }
    }

    /// Takes some rows of `inputs`, (all rows, F), as `(x - centre) * factor`; what fills up their lines has no meaning.
    #[inline(always)]
    pub fn take<V: Vector>(
        &mut self,
        simd: V,
        inputs: &[f32],
        rows: impl Iterator<Item = usize> + Clone,
        centre: &[f32],
        factor: &[f32],
    ) {
        let features = centre.len();
        let stride = lines(features);
        for part in 0..stride {
            let at = part * WIDE;
            let (centre, factor) = (line_of(&centre[at..]).get(simd), line_of(&factor[at..]).get(simd));
            for (row, into) in rows.clone().zip(self.layers[0].chunks_exact_mut(stride)) {
                // A whole line even where the row is shorter: the next row's numbers do no harm.
                let x = line_of(&inputs[row * features + at..]);
                into[part].set((x.get(simd) - centre) * factor);
            }
        }
    }

    /// The outputs of a row; further numbers in its lines have no meaning.
    #[inline(always)]
    pub fn outputs(&self, row: usize) -> &[Line] {
        let last = &self.layers[self.layers.len() - 1];
        let stride = last.len() / TILE;
        &last[row * stride..][..stride]
    }
}

/// The first numbers as a line, with zeros behind the last.
#[inline(always)]
fn line_of(numbers: &[f32]) -> Line {
    let mut line = Line::default();
    match numbers.first_chunk() {
        Some(first) => line.0 = *first,
        None => line.0[..numbers.len()].copy_from_slice(numbers),
    }
    line
}

/// Computes the outputs of the first rows of a tile.
#[inline(always)]
pub fn forward<V: Vector>(simd: V, network: &Network, packed: &[Line], tile: &mut Tile, rows: usize) {
    for (i, layer) in network.layers.iter().enumerate() {
        let (before, after) = tile.layers.split_at_mut(i + 1);
        let x = Rows { lines: &before[i], stride: lines(layer.inputs) };
        let weights = &packed[layer.weights..][..layer.panels() * layer.panel()];
        let biases = &packed[layer.biases..][..lines(layer.outputs)];
        let y = &mut after[0];
        if layer.is_head {
            rows_dot_rows(simd, rows, x, (weights, layer.panel(), layer.outputs), biases, y);
        } else {
            rows_times_panels(simd, rows, x, (weights, layer.panel(), layer.inputs), Some(biases), y);
            let (sums, slopes) = (&mut y[..rows * biases.len()], tile.slopes.get_mut(i));
            simd.apart(Activate { activation: network.shape.activation, sums, slopes });
        }
    }
}

/// Applies the activation to a layer's sums.
struct Activate<'a> {
    activation: Activation,
    sums: &'a mut [Line],
    slopes: Option<&'a mut Vec<Line>>,
}

impl Work for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        activate(simd, self.activation, self.sums, self.slopes);
    }
}

#[inline(always)]
fn activate<V: Vector>(simd: V, activation: Activation, sums: &mut [Line], slopes: Option<&mut Vec<Line>>) {
    match activation {
        Activation::Tanh => {
            for line in sums {
                line.set(tanh(simd, line.get(simd)));
            }
        }
        Activation::Relu => {
            for line in sums {
                line.set(line.get(simd).larger(simd.wide_splat(0.0)));
            }
        }
        Activation::Silu => {
            let one = simd.wide_splat(1.0);
            for (line, slope) in sums.iter_mut().zip(slopes.into_iter().flatten()) {
                let x = line.get(simd);
                let share = logistic(simd, x);
                line.set(x * share);
                slope.set(share * (one + x * (one - share)));
            }
        }
    }
}
