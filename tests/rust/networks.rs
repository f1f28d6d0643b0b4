//! Networks against plain loops, at every level of vector instructions.

use vecmarket::nn::{Activation, Line, Network, Shape, TILE, Tile, backward, forward, lines};
use vecmarket::rng::{Kind, Streams};
use vecmarket::simd::{Level, Simd, Vector, WIDE, Work};

const SHAPES: [(usize, &[usize], usize); 8] = [
    (7, &[64, 64], 2),
    (7, &[64, 64], 1),
    (1, &[], 1),
    (20, &[], 2),
    (33, &[5], 3),
    (3, &[17, 40, 100], 2),
    (16, &[16], 20),
    (5, &[130, 34], 1),
];

struct Pass<'a> {
    network: &'a Network,
    packed: &'a [Line],
    inputs: &'a [Vec<f32>],
    gradients: &'a [Vec<f32>],
}

impl Work for Pass<'_> {
    /// Outputs of each row, gradients of the parameters.
    type Output = (Vec<Vec<f32>>, Vec<f32>);

    fn run<V: Vector>(self, simd: V) -> Self::Output {
        let Self { network, packed, inputs, gradients } = self;
        let mut tile = Tile::new(network);
        let shape = &network.shape;
        let mut transposed = vec![Line::default(); network.transposed];
        network.transpose(packed, &mut transposed);
        let mut sums = vec![Line::default(); network.lines];
        let mut outputs = vec![];
        for (inputs, gradients) in inputs.chunks(TILE).zip(gradients.chunks(TILE)) {
            let rows = inputs.len();
            let flat: Vec<f32> = inputs.concat();
            tile.take(simd, &flat, 0..rows, &vec![0.0; shape.inputs], &vec![1.0; shape.inputs]);
            forward(simd, network, packed, &mut tile, rows);
            let flat = |row: usize| tile.outputs(row).iter().flat_map(|line| line.0).take(shape.outputs).collect();
            outputs.extend((0..rows).map(flat));
            let stride = lines(shape.outputs);
            for (row, gradient) in gradients.iter().enumerate() {
                let to = &mut tile.gradients[0][row * stride..][..stride];
                to.fill(Line::default());
                for (i, x) in gradient.iter().enumerate() {
                    to[i / WIDE].0[i % WIDE] = *x;
                }
            }
            backward(simd, network, packed, &transposed, &mut tile, rows, &mut sums);
        }
        let mut unpacked = vec![0.0; shape.parameters()];
        network.unpack(&sums, &mut unpacked);
        (outputs, unpacked)
    }
}

/// Value and slope of an activation.
fn activate(activation: Activation, x: f64) -> (f64, f64) {
    match activation {
        Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Activation::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
        Activation::Silu => {
            let s = 1.0 / (1.0 + (-x).exp());
            (x * s, s * (1.0 + x * (1.0 - s)))
        }
    }
}

/// The same in doubles, one number at a time.
fn slowly(shape: &Shape, parameters: &[f32], inputs: &[Vec<f32>], gradients: &[Vec<f32>]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let sizes: Vec<_> = shape.sizes().collect();
    let mut sums = vec![0.0; parameters.len()];
    let mut outputs = vec![];
    for (input, gradient) in inputs.iter().zip(gradients) {
        let mut values = vec![input.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()];
        let mut slopes = vec![];
        let mut at = 0;
        for (i, (ins, outs)) in sizes.iter().copied().enumerate() {
            let (weights, biases) = parameters[at..][..(ins + 1) * outs].split_at(ins * outs);
            at += (ins + 1) * outs;
            let sum = |j: usize| {
                let terms = weights[j * ins..][..ins].iter().zip(&values[i]).map(|(w, x)| f64::from(*w) * x);
                f64::from(biases[j]) + terms.sum::<f64>()
            };
            let sums: Vec<f64> = (0..outs).map(sum).collect();
            if i + 1 == sizes.len() {
                values.push(sums);
            } else {
                let (value, slope) = sums.iter().map(|x| activate(shape.activation, *x)).unzip();
                values.push(value);
                slopes.push(slope);
            }
        }
        let slopes: Vec<Vec<f64>> = slopes;
        outputs.push(values[sizes.len()].clone());
        let mut dy: Vec<f64> = gradient.iter().map(|x| f64::from(*x)).collect();
        for (i, (ins, outs)) in sizes.iter().copied().enumerate().rev() {
            at -= (ins + 1) * outs;
            let mut dx = vec![0.0; ins];
            for j in 0..outs {
                for k in 0..ins {
                    sums[at + j * ins + k] += dy[j] * values[i][k];
                    dx[k] += dy[j] * f64::from(parameters[at + j * ins + k]);
                }
                sums[at + ins * outs + j] += dy[j];
            }
            if i > 0 {
                dy = dx.iter().zip(&slopes[i - 1]).map(|(x, slope)| x * slope).collect();
            }
        }
    }
    (outputs, sums)
}

#[test]
fn networks_agree_with_plain_loops_at_every_level() {
    let (random, mut drawn) = (Streams::new(3, 0), 0);
    for (inputs, hidden, outputs) in SHAPES {
        for activation in [Activation::Tanh, Activation::Relu, Activation::Silu] {
            let shape = Shape { inputs, hidden: hidden.to_vec(), outputs, activation };
            let mut draw = |n: usize, scale: f32| -> Vec<f32> {
                drawn += 1;
                let uniform = |i: usize| random.uniform(drawn, Kind::Parameter, i as u32) as f32;
                (0..n).map(|i| scale * (2.0 * uniform(i) - 1.0)).collect()
            };
            let parameters = draw(shape.parameters(), 0.5);
            let rows = 2 * TILE + 7;
            let (x, dy): (Vec<_>, Vec<_>) = (0..rows).map(|_| (draw(inputs, 1.0), draw(outputs, 1.0))).unzip();
            let network = Network::new(shape.clone());
            let mut packed = vec![Line::default(); network.lines];
            network.pack(&parameters, &mut packed);
            let mut back = vec![0.0; parameters.len()];
            network.unpack(&packed, &mut back);
            assert_eq!(back, parameters);

            let (true_outputs, true_gradients) = slowly(&shape, &parameters, &x, &dy);
            let largest = true_gradients.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            let mut fused = None;
            for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
                let Some(simd) = Simd::of(level) else { continue };
                let (got, gradients) =
                    simd.run(Pass { network: &network, packed: &packed, inputs: &x, gradients: &dy });
                for (got, truth) in got.iter().flatten().zip(true_outputs.iter().flatten()) {
                    assert!(
                        (f64::from(*got) - truth).abs() < 1e-5 * truth.abs().max(1.0),
                        "{shape:?} {level:?}: {got} {truth}"
                    );
                }
                for (i, (got, truth)) in gradients.iter().zip(&true_gradients).enumerate() {
                    assert!(
                        (f64::from(*got) - truth).abs() < 1e-5 * largest.max(1.0),
                        "{shape:?} {level:?} {i}: {got} {truth}"
                    );
                }
                if level != Level::Baseline {
                    let bits: Vec<u32> = got.iter().flatten().chain(&gradients).map(|x| x.to_bits()).collect();
                    assert_eq!(*fused.get_or_insert_with(|| bits.clone()), bits, "{shape:?} {level:?}");
                }
            }
        }
    }
}
