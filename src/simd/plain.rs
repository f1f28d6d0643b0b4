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
    type Mask = Each<bool>;

    #[inline(always)]
    fn below(self, other: Self) -> Each<bool> {
        each(self, other, f64::below)
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> Each<bool> {
        each(self, other, f64::at_most)
    }
    #[inline(always)]
    fn equals(self, other: Self) -> Each<bool> {
        each(self, other, f64::equals)
    }
    #[inline(always)]
    fn select(mask: Each<bool>, yes: Self, no: Self) -> Self {
        Each(std::array::from_fn(|l| if mask.0[l] { yes.0[l] } else { no.0[l] }))
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
    fn plus_where(self, mask: Each<bool>, x: Self) -> Self {
        // Zero changes nothing that is no -0, and a sum without a branch is faster.
        self + Self::select(mask, x, Each([0.0; LANES]))
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

impl Mask for Each<bool> {
    #[inline(always)]
    fn any(self) -> bool {
        self.0.iter().fold(false, |any, lane| any | lane)
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        self.0.iter().enumerate().fold(0, |bits, (l, lane)| bits | u32::from(*lane) << l)
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
impl BitAnd for Each<bool> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        each(self, other, |a, b| a & b)
    }
}
impl BitOr for Each<bool> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        each(self, other, |a, b| a | b)
    }
}
impl Not for Each<bool> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        map(self, |a| !a)
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
