//! Eight lanes in plain arithmetic: what the target's baseline makes of it.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Not, Sub};

use super::vector::{Arithmetic, Float, Mask, One, Vector, Words};
use super::{LANES, Lanes};

/// Needs nothing that the target does not have.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

/// One value per lane.
#[derive(Debug, Clone, Copy)]
pub struct Each<T>([T; LANES]);

/// All ones for true, all zeros for false: what comparisons of vectors give, so that the compiler finds them.
#[derive(Debug, Clone, Copy)]
pub struct Bits(u64);

#[inline(always)]
fn bits(truth: bool) -> Bits {
    Bits(u64::from(truth).wrapping_neg())
}

#[inline(always)]
fn each<T: Copy, U: Copy, R>(a: Each<T>, b: Each<U>, f: impl Fn(T, U) -> R) -> Each<R> {
    Each(std::array::from_fn(|l| f(a.0[l], b.0[l])))
}

#[inline(always)]
fn map<T: Copy, R>(a: Each<T>, f: impl Fn(T) -> R) -> Each<R> {
    Each(a.0.map(f))
}

impl Arithmetic for Plain {
    type Float = Each<f64>;
    type Words = Each<u64>;

    #[inline(always)]
    fn splat(self, x: f64) -> Each<f64> {
        Each([x; LANES])
    }
    #[inline(always)]
    fn splat_word(self, x: u64) -> Each<u64> {
        Each([x; LANES])
    }
    #[inline(always)]
    fn open_interval(self, high: Each<u64>, low: Each<u64>) -> Each<f64> {
        each(high, low, |high, low| One.open_interval(high, low))
    }
}

impl Vector for Plain {
    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Each<f64> {
        Each(lanes.0)
    }
    #[inline(always)]
    fn store(self, x: Each<f64>, lanes: &mut Lanes) {
        lanes.0 = x.0;
    }
    #[inline(always)]
    fn load_words(self, words: &[u64; LANES]) -> Each<u64> {
        Each(*words)
    }
    #[inline(always)]
    fn load_short(self, words: &[u32; LANES]) -> Each<u64> {
        map(Each(*words), u64::from)
    }
    #[inline(always)]
    fn unzip(self, pairs: [[f32; 2]; LANES]) -> [Each<f64>; 2] {
        std::array::from_fn(|part| Each(pairs.map(|pair| f64::from(pair[part]))))
    }
    #[inline(always)]
    fn narrow(self, x: Each<f64>) -> [f32; LANES] {
        x.0.map(|x| x as f32)
    }
    #[inline(always)]
    fn rows(self, columns: [Each<f64>; 4]) -> [[f64; 4]; LANES] {
        std::array::from_fn(|l| columns.map(|column| column.0[l]))
    }
    #[inline(always)]
    fn columns(self, rows: [[f64; 4]; LANES]) -> [Each<f64>; 4] {
        std::array::from_fn(|column| Each(rows.map(|row| row[column])))
    }
    #[inline(always)]
    fn short_rows(self, columns: [[f32; LANES]; 4]) -> [[f32; 4]; LANES] {
        std::array::from_fn(|l| columns.map(|column| column[l]))
    }
}

impl Float for Each<f64> {
    type Mask = Each<Bits>;

    #[inline(always)]
    fn below(self, other: Self) -> Each<Bits> {
        each(self, other, |a, b| bits(a < b))
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> Each<Bits> {
        each(self, other, |a, b| bits(a <= b))
    }
    #[inline(always)]
    fn equals(self, other: Self) -> Each<Bits> {
        each(self, other, |a, b| bits(a == b))
    }
    #[inline(always)]
    fn select(mask: Each<Bits>, yes: Self, no: Self) -> Self {
        let chosen = |l: usize| yes.0[l].to_bits() & mask.0[l].0 | no.0[l].to_bits() & !mask.0[l].0;
        Each(std::array::from_fn(|l| f64::from_bits(chosen(l))))
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        each(self, other, f64::smaller)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        each(self, other, f64::larger)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        map(self, f64::magnitude)
    }
    #[inline(always)]
    fn signed_like(self, sign: Self) -> Self {
        each(self, sign, f64::signed_like)
    }
    #[inline(always)]
    fn root(self) -> Self {
        map(self, f64::root)
    }
    #[inline(always)]
    fn plus_where(self, mask: Each<Bits>, x: Self) -> Self {
        // Where the mask is false, zero: it changes nothing that is no -0.
        self + each(mask, x, |mask, x| f64::from_bits(mask.0 & x.to_bits()))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        map(self, f64::power_of_two)
    }
    #[inline(always)]
    fn mantissa_and_exponent(self) -> (Self, Self) {
        let both = self.0.map(f64::mantissa_and_exponent);
        (Each(both.map(|(m, _)| m)), Each(both.map(|(_, k)| k)))
    }
}

impl Words for Each<u64> {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        each(self, other, u64::times)
    }
    #[inline(always)]
    fn high(self) -> Self {
        map(self, u64::high)
    }
}

impl Mask for Each<Bits> {
    #[inline(always)]
    fn any(self) -> bool {
        self.0.iter().fold(0, |any, lane| any | lane.0) != 0
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        self.0.iter().enumerate().fold(0, |bits, (l, lane)| bits | (lane.0 as u32 & 1) << l)
    }
}

impl Add for Each<f64> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        each(self, other, |a, b| a + b)
    }
}
impl Sub for Each<f64> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        each(self, other, |a, b| a - b)
    }
}
impl Mul for Each<f64> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        each(self, other, |a, b| a * b)
    }
}
impl Div for Each<f64> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        each(self, other, |a, b| a / b)
    }
}
impl BitAnd for Each<Bits> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        each(self, other, |a, b| Bits(a.0 & b.0))
    }
}
impl BitOr for Each<Bits> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        each(self, other, |a, b| Bits(a.0 | b.0))
    }
}
impl Not for Each<Bits> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        map(self, |a| Bits(!a.0))
    }
}
impl Add for Each<u64> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        each(self, other, u64::wrapping_add)
    }
}
impl BitXor for Each<u64> {
    type Output = Self;
    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        each(self, other, |a, b| a ^ b)
    }
}
