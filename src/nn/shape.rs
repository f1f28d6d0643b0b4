//! The shape of a network and where its weights stand.

use super::{Line, lines};
use crate::error::{Error, Result};
use crate::simd::WIDE;
use crate::spec::named;

/// More than anybody's network has: sizes beyond it are a mistake, and their products would not fit.
const MOST_WIDE: usize = 1 << 14;
const MOST_LAYERS: usize = 64;
/// Rows of weights are computed in groups of so many.
pub(super) const GROUP: usize = 4;

named! {
    /// What the hidden layers apply to their sums.
    Activation {
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// The positive part.
        Relu = "relu",
        /// `x / (1 + exp(-x))`.
        Silu = "silu",
    }
}

/// A network as its user knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Numbers that go in.
    pub inputs: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Numbers that come out.
    pub outputs: usize,
    /// Of the hidden layers.
    pub activation: Activation,
}

impl Shape {
    /// Refuses sizes that no network has; `path` says whose they are.
    pub fn check(&self, path: &str) -> Result<()> {
        let widths = [self.inputs].into_iter().chain(self.hidden.iter().copied()).chain([self.outputs]);
        for (i, width) in widths.enumerate() {
            if !(1..=MOST_WIDE).contains(&width) {
                let place = format!("{path}: width of layer {i}");
                return Err(Error::value(place, format!("must be in 1..{MOST_WIDE}, got {width}")));
            }
        }
        if self.hidden.len() > MOST_LAYERS {
            let reason = format!("must have at most {MOST_LAYERS} hidden layers, got {}", self.hidden.len());
            return Err(Error::value(path, reason));
        }
        Ok(())
    }

    /// Inputs and outputs of each layer.
    pub fn sizes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let inputs = [self.inputs].into_iter().chain(self.hidden.iter().copied());
        inputs.zip(self.hidden.iter().copied().chain([self.outputs]))
    }

    /// Weights and biases in all.
    pub fn parameters(&self) -> usize {
        self.sizes().map(|(inputs, outputs)| (inputs + 1) * outputs).sum()
    }
}

/// One layer's place among the packed parameters.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Numbers that go in.
    pub inputs: usize,
    /// Numbers that come out.
    pub outputs: usize,
    /// The last one.
    pub is_head: bool,
    /// First line of its weights.
    pub weights: usize,
    /// First line of its biases.
    pub biases: usize,
    /// First line of its transposed weights; see [`Network::transpose`].
    pub transposed: usize,
}

impl Layer {
    /// Lines of one panel of weights.
    #[inline(always)]
    pub fn panel(&self) -> usize {
        let rows = if self.is_head { self.outputs } else { self.inputs };
        rows.next_multiple_of(GROUP)
    }

    /// Panels of weights.
    #[inline(always)]
    pub fn panels(&self) -> usize {
        lines(if self.is_head { self.inputs } else { self.outputs })
    }
}

/// A network's shape with the places of its parameters.
///
/// Weights stand in panels of sixteen columns, one line per row. A hidden layer's rows are its inputs and its columns its
/// outputs, so that a row of outputs is a sum of lines; the head's rows are its outputs, which are few, so that each is
/// a product of lines with lines. Panels are filled up with rows of zeros to groups of four; what fills up stays zero
/// through training, since its gradients are zero.
#[derive(Debug, Clone)]
pub struct Network {
    /// As the user knows it.
    pub shape: Shape,
    /// From the first to the head.
    pub layers: Vec<Layer>,
    /// Lines of the packed parameters.
    pub lines: usize,
    /// Lines of the transposed weights.
    pub transposed: usize,
}

impl Network {
    /// Gives every parameter its place.
    pub fn new(shape: Shape) -> Self {
        let (mut at, mut transposed) = (0, 0);
        let mut layers = Vec::new();
        for (i, (inputs, outputs)) in shape.sizes().enumerate() {
            let is_head = i == shape.hidden.len();
            let mut layer = Layer { inputs, outputs, is_head, weights: at, biases: 0, transposed };
            layer.biases = at + layer.panels() * layer.panel();
            at = layer.biases + lines(outputs);
            if i > 0 && !is_head {
                transposed += lines(inputs) * outputs;
            }
            layers.push(layer);
        }
        Self { shape, layers, lines: at, transposed }
    }

    /// Where a weight stands: line and place in it.
    #[inline(always)]
    fn place(layer: &Layer, output: usize, input: usize) -> (usize, usize) {
        let (row, column) = if layer.is_head { (output, input) } else { (input, output) };
        (layer.weights + column / WIDE * layer.panel() + row, column % WIDE)
    }

    /// Takes parameters in the order of a torch module: of each layer the weights, (out, in), then the biases, (out,).
    pub fn pack(&self, parameters: &[f32], packed: &mut [Line]) {
        packed.fill(Line::default());
        let mut rest = parameters;
        for layer in &self.layers {
            let (weights, others) = rest.split_at(layer.inputs * layer.outputs);
            let (biases, others) = others.split_at(layer.outputs);
            rest = others;
            for (output, row) in weights.chunks_exact(layer.inputs).enumerate() {
                for (input, weight) in row.iter().enumerate() {
                    let (line, lane) = Self::place(layer, output, input);
                    packed[line].0[lane] = *weight;
                }
            }
            for (output, bias) in biases.iter().enumerate() {
                packed[layer.biases + output / WIDE].0[output % WIDE] = *bias;
            }
        }
    }

    /// Puts parameters into the order of a torch module.
    pub fn unpack(&self, packed: &[Line], parameters: &mut [f32]) {
        let mut rest = parameters;
        for layer in &self.layers {
            let (weights, others) = rest.split_at_mut(layer.inputs * layer.outputs);
            let (biases, others) = others.split_at_mut(layer.outputs);
            rest = others;
            for (output, row) in weights.chunks_exact_mut(layer.inputs).enumerate() {
                for (input, weight) in row.iter_mut().enumerate() {
                    let (line, lane) = Self::place(layer, output, input);
                    *weight = packed[line].0[lane];
                }
            }
            for (output, bias) in biases.iter_mut().enumerate() {
                *bias = packed[layer.biases + output / WIDE].0[output % WIDE];
            }
        }
    }

    /// Writes the weights of the hidden layers behind the first once more, in panels of sixteen inputs with a line per
    /// output: what takes gradients from a layer's outputs to its inputs.
    pub fn transpose(&self, packed: &[Line], transposed: &mut [Line]) {
        for layer in self.layers.iter().skip(1).filter(|layer| !layer.is_head) {
            let own = &mut transposed[layer.transposed..][..lines(layer.inputs) * layer.outputs];
            for (panel, rows) in own.chunks_exact_mut(layer.outputs).enumerate() {
                let first = panel * WIDE;
                let inputs = WIDE.min(layer.inputs - first);
                for (output, line) in rows.iter_mut().enumerate() {
                    let from = &packed[layer.weights + output / WIDE * layer.panel() + first..][..inputs];
                    for (to, from) in line.0.iter_mut().zip(from) {
                        *to = from.0[output % WIDE];
                    }
                }
            }
        }
    }
}
