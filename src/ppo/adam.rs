//! One step of Adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, with torch's order of operations.

use super::learner::Moments;
use crate::nn::Line;
use crate::simd::{Vector, Wide, Work};

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
/// As the torch backend has it.
const EPSILON: f32 = 1e-5;

/// Moves parameters against their gradients.
pub struct Step<'a> {
    pub packed: &'a mut [Line],
    pub gradients: &'a [Line],
    pub moments: &'a mut Moments,
    /// Gradients are multiplied by it: what is left of them after clipping their norm.
    pub factor: f32,
    pub learning_rate: f64,
}

impl Work for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { packed, gradients, moments, factor, learning_rate } = self;
        moments.steps += 1;
        let power = i32::try_from(moments.steps).unwrap_or(i32::MAX);
        let rate = simd.wide_splat((-learning_rate / (1.0 - FIRST_DECAY.powi(power))) as f32);
        let root = simd.wide_splat(((1.0 - SECOND_DECAY.powi(power)).sqrt().recip()) as f32);
        let factor = simd.wide_splat(factor);
        let (keep_first, take_first) = (simd.wide_splat(FIRST_DECAY as f32), simd.wide_splat(0.1));
        let (keep_second, take_second) = (simd.wide_splat(SECOND_DECAY as f32), simd.wide_splat(0.001));
        let epsilon = simd.wide_splat(EPSILON);
        let of_moments = moments.first.iter_mut().zip(&mut moments.second);
        for ((x, gradient), (first, second)) in packed.iter_mut().zip(gradients).zip(of_moments) {
            let gradient = gradient.get(simd) * factor;
            let m = first.get(simd).times_plus(keep_first, gradient * take_first);
            let v = second.get(simd).times_plus(keep_second, gradient * gradient * take_second);
            first.set(m);
            second.set(v);
            x.set((m / v.root().times_plus(root, epsilon)).times_plus(rate, x.get(simd)));
        }
    }
}

/// The sum of the squares.
pub struct SquaredNorm<'a>(pub &'a [Line]);

impl Work for SquaredNorm<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> f32 {
        let mut sum = simd.wide_splat(0.0);
        for line in self.0 {
            let x = line.get(simd);
            sum = x.times_plus(x, sum);
        }
        sum.total()
    }
}
