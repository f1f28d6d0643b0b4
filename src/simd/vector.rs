//! Arithmetic that reads alike for one number and for the eight of a block.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Not, Sub};

use super::wide::Short;
use super::{LANES, Lanes};

/// What a comparison says, number by number.
pub trait Mask: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// True for at least one number.
    fn any(self) -> bool;
    /// A bit for each lane, the first the lowest.
    fn bits(self) -> u32;
}

/// One number, or one in each lane. All implementations round alike: nothing is fused, nothing reordered.
pub trait Float: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// What comparisons give.
    type Mask: Mask;

    /// Less than.
    fn below(self, other: Self) -> Self::Mask;
    /// Less than or equal.
    fn at_most(self, other: Self) -> Self::Mask;
    /// Equal.
    fn equals(self, other: Self) -> Self::Mask;
    /// `yes` where the mask is true.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// The smaller; the other where they are equal.
    fn smaller(self, other: Self) -> Self;
    /// The larger; the other where they are equal.
    fn larger(self, other: Self) -> Self;
    /// Without its sign.
    fn magnitude(self) -> Self;
    /// With the sign of another number.
    fn signed_like(self, sign: Self) -> Self;
    /// Square root.
    fn root(self) -> Self;
    /// `self + x` where the mask is true. `self` is no -0.
    fn plus_where(self, mask: Self::Mask, x: Self) -> Self;
    /// The low 12 bits of the pattern as a power of two: 1 in the lowest gives 2.
    fn power_of_two(self) -> Self;
    /// A normal number > 0 as mantissa in [1, 2) and exponent.
    fn mantissa_and_exponent(self) -> (Self, Self);
}

/// 64-bit words, one or one in each lane, for the random generator.
pub trait Words: Copy + BitXor<Output = Self> + Add<Output = Self> {
    /// The product of the low halves.
    fn times(self, other: Self) -> Self;
    /// The high half in place of the low one.
    fn high(self) -> Self;
}

/// Makes numbers and words of one width; a token that the processor has the instructions.
pub trait Arithmetic: Copy + 'static {
    /// Its numbers.
    type Float: Float;
    /// Its words.
    type Words: Words;

    /// The same number everywhere.
    fn splat(self, x: f64) -> Self::Float;
    /// The same word everywhere.
    fn splat_word(self, x: u64) -> Self::Words;
    /// The low halves of two words, joined, as a uniform number: `(k + 0.5) / 2^52` for the 52 high bits k.
    fn open_interval(self, high: Self::Words, low: Self::Words) -> Self::Float;
}

/// Arithmetic on the eight environments of a block.
pub trait Vector: Arithmetic + Short {
    /// Takes lanes from memory.
    fn load(self, lanes: &Lanes) -> Self::Float;
    /// Puts lanes into memory.
    fn store(self, x: Self::Float, lanes: &mut Lanes);
    /// Takes words from memory.
    fn load_words(self, words: &[u64; LANES]) -> Self::Words;
    /// Takes short words from memory.
    fn load_short(self, words: &[u32; LANES]) -> Self::Words;
    /// The first and the second of eight pairs.
    fn unzip(self, pairs: [[f32; 2]; LANES]) -> [Self::Float; 2];
    /// Rounded to 32 bits.
    fn narrow(self, x: Self::Float) -> [f32; LANES];
    /// Four columns as eight rows.
    fn rows(self, columns: [Self::Float; 4]) -> [[f64; 4]; LANES];
    /// Eight rows as four columns: what undoes [`rows`](Self::rows).
    fn columns(self, rows: [[f64; 4]; LANES]) -> [Self::Float; 4];
    /// Four short columns as eight rows.
    fn short_rows(self, columns: [[f32; LANES]; 4]) -> [[f32; 4]; LANES];

    /// As an array.
    #[inline(always)]
    fn array(self, x: Self::Float) -> [f64; LANES] {
        let mut lanes = Lanes::default();
        self.store(x, &mut lanes);
        lanes.0
    }
}

/// Plain numbers as arithmetic of width one.
#[derive(Debug, Clone, Copy)]
pub struct One;

impl Arithmetic for One {
    type Float = f64;
    type Words = u64;

    #[inline(always)]
    fn splat(self, x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn splat_word(self, x: u64) -> u64 {
        x
    }
    #[inline(always)]
    fn open_interval(self, high: u64, low: u64) -> f64 {
        // The bits in the mantissa of a number in [1, 2): a conversion that vectorises everywhere.
        let k = (high << 32 | low & 0xffff_ffff) >> 12;
        f64::from_bits(k | 1.0f64.to_bits()) - 1.0 + HALF_STEP
    }
}

/// Half of the distance between two uniform draws.
pub(super) const HALF_STEP: f64 = 0.5 / (1u64 << 52) as f64;
/// 2^52: an integer below it stands in the low bits of the sum's mantissa.
pub(super) const TWO_52: f64 = 4_503_599_627_370_496.0;
/// The bits of a mantissa.
pub(super) const MANTISSA: u64 = (1 << 52) - 1;

impl Words for u64 {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        (self & 0xffff_ffff) * (other & 0xffff_ffff)
    }
    #[inline(always)]
    fn high(self) -> Self {
        self >> 32
    }
}

impl Mask for bool {
    #[inline(always)]
    fn any(self) -> bool {
        self
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self)
    }
}

impl Float for f64 {
    type Mask = bool;

    #[inline(always)]
    fn below(self, other: Self) -> bool {
        self < other
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> bool {
        self <= other
    }
    #[inline(always)]
    fn equals(self, other: Self) -> bool {
        self == other
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn signed_like(self, sign: Self) -> Self {
        self.copysign(sign)
    }
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn plus_where(self, mask: bool, x: Self) -> Self {
        if mask { self + x } else { self }
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        f64::from_bits((self.to_bits() << 52).wrapping_add(1.0f64.to_bits()))
    }
    #[inline(always)]
    fn mantissa_and_exponent(self) -> (Self, Self) {
        let bits = self.to_bits();
        let exponent = f64::from_bits(bits >> 52 | TWO_52.to_bits()) - (TWO_52 + 1023.0);
        (f64::from_bits(bits & MANTISSA | 1.0f64.to_bits()), exponent)
    }
}
