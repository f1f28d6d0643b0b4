//! How fast a PPO update could be on this machine: one thread's time for the bare matrix products of a row, forward and
//! backward, of the actor and critic that `bench/training.py` trains, beside the whole networks, in nanoseconds.
//!
//! Prints `name value` lines, medians over alternating rounds: `products_forward`, `products_backward`, `forward`,
//! `backward` (ns per row, actor and critic together) and `peak` (10^9 operations a second of fused multiply-adds alone).

use std::hint::black_box;
use std::time::Instant;

use vecmarket::nn::{Activation, Line, Network, Rows, Shape, TILE, Tile, backward, forward, lines};
use vecmarket::nn::{add_outer, rows_dot_rows, rows_times_panels};
use vecmarket::simd::{Simd, Vector, WIDE, Wide, Work};

const ROUNDS: usize = 31;
const TILES: usize = 100;
/// Sums that a processor needs to keep both of its units busy: latency 4, two a cycle, and some to spare.
const CHAINS: usize = 12;
const CHAIN: usize = 20_000;

#[derive(Clone, Copy, PartialEq)]
enum What {
    ProductsForward,
    ProductsBackward,
    Forward,
    Backward,
}

/// A network with all that it needs.
struct Desk {
    network: Network,
    packed: Vec<Line>,
    transposed: Vec<Line>,
    tile: Tile,
    sums: Vec<Line>,
}

impl Desk {
    fn new(outputs: usize) -> Self {
        let shape = Shape { inputs: 7, hidden: vec![64, 64], outputs, activation: Activation::Tanh };
        let network = Network::new(shape);
        let weights: Vec<f32> =
            (0..network.shape.parameters()).map(|i| 0.3 * ((i * 7919 % 1000) as f32 / 1000.0 - 0.5)).collect();
        let mut packed = vec![Line::default(); network.lines];
        network.pack(&weights, &mut packed);
        let mut transposed = vec![Line::default(); network.transposed];
        network.transpose(&packed, &mut transposed);
        let mut tile = Tile::new(&network);
        tile.layers[0].iter_mut().for_each(|line| line.0[..7].fill(0.5));
        let sums = vec![Line::default(); network.lines];
        Self { network, packed, transposed, tile, sums }
    }
}

struct Run<'a>(&'a mut Desk, What);

impl Work for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self(desk, what) = self;
        let Desk { network, packed, transposed, tile, sums } = desk;
        for _ in 0..TILES {
            match what {
                What::ProductsForward => products_forward(simd, network, packed, tile),
                What::ProductsBackward => products_backward(simd, network, packed, transposed, tile, sums),
                What::Forward => forward(simd, network, packed, tile, TILE),
                What::Backward => {
                    tile.gradients[0][..TILE].fill(Line([1e-3; WIDE]));
                    backward(simd, network, packed, transposed, tile, TILE, sums);
                }
            }
        }
    }
}

/// What `forward` multiplies, and nothing else.
#[inline(always)]
fn products_forward<V: Vector>(simd: V, network: &Network, packed: &[Line], tile: &mut Tile) {
    for (i, layer) in network.layers.iter().enumerate() {
        let (before, after) = tile.layers.split_at_mut(i + 1);
        let x = Rows { lines: &before[i], stride: lines(layer.inputs) };
        let weights = &packed[layer.weights..layer.biases];
        let biases = &packed[layer.biases..][..lines(layer.outputs)];
        if layer.is_head {
            rows_dot_rows(simd, TILE, x, (weights, layer.panel(), layer.outputs), biases, &mut after[0]);
        } else {
            rows_times_panels(simd, TILE, x, (weights, layer.panel(), layer.inputs), Some(biases), &mut after[0]);
        }
    }
}

/// What `backward` multiplies, and nothing else.
#[inline(always)]
fn products_backward<V: Vector>(
    simd: V,
    network: &Network,
    packed: &[Line],
    transposed: &[Line],
    tile: &mut Tile,
    sums: &mut [Line],
) {
    for (i, layer) in network.layers.iter().enumerate().rev() {
        let Tile { layers, gradients: [after, before], .. } = &mut *tile;
        let dy = Rows { lines: &after[..TILE * lines(layer.outputs)], stride: lines(layer.outputs) };
        let x = Rows { lines: &layers[i], stride: lines(layer.inputs) };
        let of_weights = &mut sums[layer.weights..layer.biases];
        if layer.is_head {
            add_outer(simd, TILE, dy, x, of_weights, layer.panel());
        } else {
            add_outer(simd, TILE, x, dy, of_weights, layer.panel());
        }
        if i == 0 {
            return;
        }
        let weights = if layer.is_head {
            (&packed[layer.weights..layer.biases], layer.panel(), layer.outputs)
        } else {
            (&transposed[layer.transposed..][..x.stride * layer.outputs], layer.outputs, layer.outputs)
        };
        rows_times_panels(simd, TILE, dy, weights, None, &mut before[..TILE * x.stride]);
        tile.gradients.swap(0, 1);
    }
}

/// Multiplies and adds in registers.
struct Peak;

impl Work for Peak {
    type Output = f32;

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> f32 {
        let (a, b) = (simd.wide_splat(black_box(0.999)), simd.wide_splat(black_box(1e-3)));
        let mut sums = [simd.wide_splat(black_box(1.0)); CHAINS];
        for _ in 0..CHAIN {
            for sum in &mut sums {
                *sum = sum.times_plus(a, b);
            }
        }
        sums.into_iter().fold(0.0, |total, sum| total + sum.array()[0])
    }
}

fn main() -> Result<(), vecmarket::error::Error> {
    let simd = Simd::get()?;
    let mut desks = [Desk::new(2), Desk::new(1)];
    let parts = [
        ("products_forward", What::ProductsForward),
        ("products_backward", What::ProductsBackward),
        ("forward", What::Forward),
        ("backward", What::Backward),
    ];
    let mut times = vec![Vec::new(); parts.len()];
    let mut peaks = Vec::new();
    for _ in 0..ROUNDS {
        for (times, (_, what)) in times.iter_mut().zip(parts) {
            let start = Instant::now();
            desks.iter_mut().for_each(|desk| simd.run(Run(desk, what)));
            times.push(start.elapsed().as_secs_f64() * 1e9 / (TILES * TILE) as f64);
            // So that weights' gradients do not grow without end.
            desks.iter_mut().for_each(|desk| desk.sums.fill(Line::default()));
        }
        let start = Instant::now();
        black_box(simd.run(Peak));
        peaks.push(2.0 * (CHAINS * CHAIN * WIDE) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    for (times, (name, _)) in times.iter_mut().zip(parts) {
        println!("{name} {:.2}", median(times));
    }
    println!("peak {:.1}", median(&mut peaks));
    Ok(())
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
