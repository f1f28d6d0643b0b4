//! Functions of sixteen numbers.

use crate::simd::{Short, Wide};

/// Hyperbolic tangent within 4e-7 of the true value (a test holds the bound; from |x| = 8 on it is tanh(8)).
///
/// `x p(x^2) / q(x^2)` with degrees 5 and 3, fitted to the relative error on [-8, 8] by iteratively reweighted least
/// squares, which leaves 2e-8; the rest is rounding. One division, no branch.
#[inline(always)]
pub fn tanh<S: Short>(simd: S, x: S::Wide) -> S::Wide {
    const P: [f32; 6] = [0.999_999_98, 0.129_792_21, 2.985_859_3e-3, 9.878_636e-6, -1.470_415e-8, 2.350_842_6e-11];
    const Q: [f32; 4] = [1.0, 0.463_125_37, 2.402_791_4e-2, 2.372_028_7e-4];
    let reach = simd.wide_splat(8.0);
    let x = x.smaller(reach).larger(simd.wide_splat(-8.0));
    let z = x * x;
    polynomial(simd, &P, z) * x / polynomial(simd, &Q, z)
}

/// Exponential function, within 3e-7 relative to the true value for x in [-87, 88] (a test holds the bound); outside it is
/// that of the nearer end.
///
/// `2^n exp(r)` with |r| <= ln(2) / 2 and the Taylor polynomial of degree 7.
#[inline(always)]
pub fn exp<S: Short>(simd: S, x: S::Wide) -> S::Wide {
    /// Adding it rounds to an integer and leaves that in the low bits.
    const TO_INTEGER: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const TAYLOR: [f32; 8] = [1.0, 1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];
    let x = x.smaller(simd.wide_splat(88.0)).larger(simd.wide_splat(-87.0));
    let shifted = x * simd.wide_splat(std::f32::consts::LOG2_E) + simd.wide_splat(TO_INTEGER);
    let n = shifted - simd.wide_splat(TO_INTEGER);
    let r = n.times_plus(simd.wide_splat(-LN_2_HIGH), x);
    let r = n.times_plus(simd.wide_splat(-LN_2_LOW), r);
    polynomial(simd, &TAYLOR, r) * shifted.power_of_two()
}

/// `c[0] + c[1] x + c[2] x^2 + ...`, by Horner's scheme: many rows hide its latency.
#[inline(always)]
fn polynomial<S: Short, const N: usize>(simd: S, c: &[f32; N], x: S::Wide) -> S::Wide {
    let mut sum = simd.wide_splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = sum.times_plus(x, simd.wide_splat(c[i]));
    }
    sum
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn logistic<S: Short>(simd: S, x: S::Wide) -> S::Wide {
    let one = simd.wide_splat(1.0);
    one / (one + exp(simd, simd.wide_splat(0.0) - x))
}

#[cfg(test)]
mod tests {
    use super::{exp, tanh};
    use crate::simd::{Level, Simd, Vector, WIDE, Wide, Work};

    struct Of(bool, [f32; WIDE]);

    impl Work for Of {
        type Output = [f32; WIDE];
        fn run<V: Vector>(self, simd: V) -> [f32; WIDE] {
            let x = simd.wide(self.1);
            if self.0 { tanh(simd, x).array() } else { exp(simd, x).array() }
        }
    }

    /// The largest distance, as `distance` measures it, over a range of arguments, at every level.
    fn worst(of: fn(f64) -> f64, is_tanh: bool, reach: f32, distance: fn(f64, f64) -> f64) -> f64 {
        let mut worst: f64 = 0.0;
        for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
            let Some(simd) = Simd::of(level) else { continue };
            for i in 0..20_000 {
                let at = std::array::from_fn(|l| reach * ((i * WIDE + l) as f32 / 160_000.0 - 1.0));
                let got = simd.run(Of(is_tanh, at));
                for (got, x) in got.into_iter().zip(at) {
                    worst = worst.max(distance(f64::from(got), of(f64::from(x))));
                }
            }
        }
        worst
    }

    #[test]
    fn tanh_is_within_its_bound() {
        let worst = worst(libm::tanh, true, 12.0, |got, truth| (got - truth).abs());
        assert!(worst <= 4e-7, "{worst:e}");
    }

    #[test]
    fn exp_is_within_its_bound() {
        let worst = worst(libm::exp, false, 86.9, |got, truth| (got / truth - 1.0).abs());
        assert!(worst <= 3e-7, "{worst:e}");
    }
}
