//! Mathematical functions in plain arithmetic, the same to the bit on every machine.

/// Hyperbolic tangent, within 1e-14 of the true value (a test holds the bound).
///
/// `tanh(x) = (e - 1) / (e + 1)` with `e = exp(2 |x|)`; no branches and no tables, so that a loop over it vectorises.
#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let e = exp(2.0 * x.abs().min(20.0));
    ((e - 1.0) / (e + 1.0)).copysign(x)
}

/// Exponential of a number in [0, 40]: `2^k exp(r)` with |r| <= ln(2) / 2 and the Taylor series of degree 11, whose
/// remainder is below 7e-15 there.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
    const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const C: [f64; 12] = {
        let mut c = [1.0; 12];
        let mut i = 1;
        while i < 12 {
            c[i] = c[i - 1] / i as f64;
            i += 1;
        }
        c
    };
    let shifted = x * std::f64::consts::LOG2_E + TO_INTEGER;
    let k = shifted - TO_INTEGER;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    // Estrin's scheme: pairs first, so that few operations wait for each other.
    let r2 = r * r;
    let r4 = r2 * r2;
    let low = (C[0] + C[1] * r) + (C[2] + C[3] * r) * r2;
    let middle = (C[4] + C[5] * r) + (C[6] + C[7] * r) * r2;
    let high = (C[8] + C[9] * r) + (C[10] + C[11] * r) * r2;
    let sum = low + (middle + high * r4) * r4;
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()));
    sum * power
}

/// Natural logarithm of a normal number > 0, within 4e-16 relative to the larger of 1 and the result.
///
/// `x = 2^k m` with m in [sqrt(1/2), sqrt(2)], and `ln m = 2 artanh(s)` with `s = (m - 1) / (m + 1)`, by its series up
/// to s^21, whose remainder is below 3e-17.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let bits = x.to_bits();
    let m = f64::from_bits(bits & MANTISSA | 1.0f64.to_bits());
    // The exponent's bits in the mantissa of 2^52: a conversion that vectorises everywhere.
    let k = f64::from_bits(bits >> 52 | TWO_52.to_bits()) - (TWO_52 + 1023.0);
    let above = m > std::f64::consts::SQRT_2;
    let m = if above { 0.5 * m } else { m };
    let k = if above { k + 1.0 } else { k };
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut sum = 1.0 / 21.0;
    let mut n = 21.0;
    while n > 1.0 {
        n -= 2.0;
        sum = sum * z + 1.0 / n;
    }
    k * std::f64::consts::LN_2 + 2.0 * s * sum
}

#[cfg(test)]
mod tests {
    use super::{ln, tanh};

    #[test]
    fn ln_is_within_its_bound() {
        let mut x = 1e-300;
        while x < 1e300 {
            let (got, true_value) = (ln(x), libm::log(x));
            assert!((got - true_value).abs() <= 4e-16 * true_value.abs().max(1.0), "{x:e}: {got} {true_value}");
            x *= 1.000_37;
        }
    }

    #[test]
    fn tanh_is_within_its_bound_and_odd() {
        let mut worst: f64 = 0.0;
        for i in -200_000..=200_000 {
            let x = f64::from(i) * 1e-4;
            worst = worst.max((tanh(x) - libm::tanh(x)).abs());
            assert_eq!(tanh(-x), -tanh(x));
        }
        assert!(worst <= 1e-14, "{worst:e}");
        assert_eq!(tanh(0.0), 0.0);
        assert_eq!(tanh(1e300), 1.0);
    }
}
