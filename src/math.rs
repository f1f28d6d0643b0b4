//! Mathematical functions in plain arithmetic, the same to the bit on every machine, of one number or of eight.

use crate::simd::{Arithmetic, Float};

/// Hyperbolic tangent, within 1e-14 of the true value (a test holds the bound).
///
/// `tanh(x) = (e - 1) / (e + 1)` with `e = exp(2 |x|) = 2^k exp(r)`, |r| <= ln(2) / 2, and `exp(r) = n(r) / n(-r)`, its
/// diagonal Pade approximant of degree 5, whose relative error is below 1e-15 there: both divisions become one, and there
/// are no branches and no tables.
#[inline(always)]
pub fn tanh<A: Arithmetic>(simd: A, x: A::Float) -> A::Float {
    let two = x.magnitude() + x.magnitude();
    let two = two.smaller(simd.splat(40.0));
    let shifted = two * simd.splat(std::f64::consts::LOG2_E) + simd.splat(TO_INTEGER);
    let (even, odd) = halves_of_exp(simd, two, shifted);
    let up = shifted.power_of_two() * (even + odd);
    let down = even - odd;
    ((up - down) / (up + down)).signed_like(x)
}

/// Exponential of a number in [-700, 700], within 1.2e-15 of the true value, relative (a test holds the bound).
///
/// `2^k n(r) / n(-r)`, as in [`tanh`].
#[inline(always)]
pub fn exp<A: Arithmetic>(simd: A, x: A::Float) -> A::Float {
    let shifted = x * simd.splat(std::f64::consts::LOG2_E) + simd.splat(TO_INTEGER);
    let (even, odd) = halves_of_exp(simd, x, shifted);
    shifted.power_of_two() * ((even + odd) / (even - odd))
}

/// A normal number > 0 to a power, where the result's logarithm lies in [-700, 700].
#[inline(always)]
pub fn power<A: Arithmetic>(simd: A, x: A::Float, exponent: A::Float) -> A::Float {
    exp(simd, ln(simd, x) * exponent)
}

/// Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;

/// The even and the odd part of n(r), where `x = k ln(2) + r` and `shifted` holds k.
#[inline(always)]
fn halves_of_exp<A: Arithmetic>(simd: A, x: A::Float, shifted: A::Float) -> (A::Float, A::Float) {
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let k = shifted - simd.splat(TO_INTEGER);
    let r = (x - k * simd.splat(LN_2_HIGH)) - k * simd.splat(LN_2_LOW);
    // n(r) = 1 + r / 2 + r^2 / 9 + r^3 / 72 + r^4 / 1008 + r^5 / 30240.
    let z = r * r;
    let even = simd.splat(1.0) + z * (simd.splat(1.0 / 9.0) + z * simd.splat(1.0 / 1008.0));
    let odd = r * (simd.splat(0.5) + z * (simd.splat(1.0 / 72.0) + z * simd.splat(1.0 / 30240.0)));
    (even, odd)
}

/// Natural logarithm of a normal number > 0, within 4e-16 relative to the larger of 1 and the result.
///
/// `x = 2^k m` with m in [sqrt(1/2), sqrt(2)], and `ln m = 2 artanh(s)` with `s = (m - 1) / (m + 1)`, by its series up
/// to s^21, whose remainder is below 3e-17.
#[inline(always)]
pub fn ln<A: Arithmetic>(simd: A, x: A::Float) -> A::Float {
    /// 1/1, 1/3, ..., 1/21, and a zero.
    const ODD: [f64; 12] = {
        let mut c = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut i = 1;
        while i < 11 {
            c[i] = 1.0 / (2 * i + 1) as f64;
            i += 1;
        }
        c
    };
    let one = simd.splat(1.0);
    let (m, k) = x.mantissa_and_exponent();
    let above = simd.splat(std::f64::consts::SQRT_2).below(m);
    let m = A::Float::select(above, simd.splat(0.5) * m, m);
    let k = A::Float::select(above, k + one, k);
    let s = (m - one) / (m + one);
    let z = s * s;
    let (z2, z4) = (z * z, (z * z) * (z * z));
    let high = cubic(simd, &ODD, 4, z, z2) + cubic(simd, &ODD, 8, z, z2) * z4;
    let sum = cubic(simd, &ODD, 0, z, z2) + high * z4;
    k * simd.splat(std::f64::consts::LN_2) + simd.splat(2.0) * s * sum
}

/// `c[first] + c[first + 1] x + c[first + 2] x^2 + c[first + 3] x^3`, given x^2.
#[inline(always)]
pub fn cubic<A: Arithmetic>(simd: A, c: &[f64], first: usize, x: A::Float, x2: A::Float) -> A::Float {
    let low = simd.splat(c[first]) + simd.splat(c[first + 1]) * x;
    let high = simd.splat(c[first + 2]) + simd.splat(c[first + 3]) * x;
    low + high * x2
}

/// `c[0] + c[1] x + ... + c[7] x^7`, by Estrin's scheme.
#[inline(always)]
pub fn polynomial<A: Arithmetic>(simd: A, c: &[f64; 8], x: A::Float) -> A::Float {
    let x2 = x * x;
    cubic(simd, c, 0, x, x2) + cubic(simd, c, 4, x, x2) * (x2 * x2)
}

#[cfg(test)]
mod tests {
    use super::{ln, tanh};
    use crate::simd::One;

    #[test]
    fn ln_is_within_its_bound() {
        let mut x = 1e-300;
        while x < 1e300 {
            let (got, true_value) = (ln(One, x), libm::log(x));
            assert!((got - true_value).abs() <= 4e-16 * true_value.abs().max(1.0), "{x:e}: {got} {true_value}");
            x *= 1.000_37;
        }
    }

    #[test]
    fn tanh_is_within_its_bound_and_odd() {
        let mut worst: f64 = 0.0;
        for i in -200_000..=200_000 {
            let x = f64::from(i) * 1e-4;
            worst = worst.max((tanh(One, x) - libm::tanh(x)).abs());
            assert_eq!(tanh(One, -x), -tanh(One, x));
        }
        assert!(worst <= 1e-14, "{worst:e}");
        assert_eq!(tanh(One, 0.0), 0.0);
        assert_eq!(tanh(One, 1e300), 1.0);
    }
}
