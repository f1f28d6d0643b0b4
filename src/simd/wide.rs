//! Sixteen single-precision numbers: what networks are computed with.
//!
//! The same bytes as eight lanes of doubles: one register with AVX-512, two with AVX2, four at x86-64's baseline. A product
//! and a sum are one operation here, [`Wide::times_plus`], rounded once where the processor has it, which is all AVX2 and
//! AVX-512 processors and aarch64: they agree to the bit. Only x86-64's baseline rounds twice.

use std::ops::{Add, Div, Mul, Sub};

use super::{Plain, Work};

/// How many there are.
pub const WIDE: usize = 16;

/// Sixteen numbers.
pub trait Wide: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// `self * a + b`.
    fn times_plus(self, a: Self, b: Self) -> Self;
    /// The larger; the other where they are equal.
    fn larger(self, other: Self) -> Self;
    /// The smaller; the other where they are equal.
    fn smaller(self, other: Self) -> Self;
    /// 1 where less than the other, else 0.
    fn is_below(self, other: Self) -> Self;
    /// Square root.
    fn root(self) -> Self;
    /// The low nine bits of the pattern as a power of two: 1 in the lowest gives 2.
    fn power_of_two(self) -> Self;
    /// As an array.
    fn array(self) -> [f32; WIDE];

    /// The sum: halves are added until one number is left, on every level alike.
    #[inline(always)]
    fn total(self) -> f32 {
        let x = self.array();
        let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
        for i in 0..8 {
            eight[i] = x[i] + x[i + 8];
        }
        for i in 0..4 {
            four[i] = eight[i] + eight[i + 4];
        }
        (four[0] + four[2]) + (four[1] + four[3])
    }
}

/// Makes wide numbers; a token that the processor has the instructions.
pub trait Short: Copy + 'static {
    /// Its numbers.
    type Wide: Wide;
    /// There are registers for 24 sums, not only for six.
    const ROOMY: bool;

    /// From memory.
    fn wide(self, x: [f32; WIDE]) -> Self::Wide;
    /// The same number everywhere.
    fn wide_splat(self, x: f32) -> Self::Wide;
    /// Runs work as a function of its own, which has all registers to itself: inlined, the sums of an inner loop would go
    /// to the stack so that constants of the code around it may stay.
    fn apart<W: Work>(self, work: W) -> W::Output;
}

impl Short for Plain {
    type Wide = Sixteen;
    const ROOMY: bool = false;

    #[inline(always)]
    fn wide(self, x: [f32; WIDE]) -> Sixteen {
        Sixteen(x)
    }
    #[inline(always)]
    fn wide_splat(self, x: f32) -> Sixteen {
        Sixteen([x; WIDE])
    }
    #[inline(never)]
    fn apart<W: Work>(self, work: W) -> W::Output {
        work.run(self)
    }
}

/// Sixteen numbers in plain arithmetic.
#[derive(Debug, Clone, Copy)]
pub struct Sixteen([f32; WIDE]);

impl Sixteen {
    #[inline(always)]
    fn each(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Add for Sixteen {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }
}

impl Sub for Sixteen {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }
}

impl Mul for Sixteen {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| a * b)
    }
}

impl Div for Sixteen {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.each(other, |a, b| a / b)
    }
}

impl Wide for Sixteen {
    #[inline(always)]
    fn times_plus(self, a: Self, b: Self) -> Self {
        if cfg!(target_arch = "aarch64") {
            return Self(std::array::from_fn(|i| self.0[i].mul_add(a.0[i], b.0[i])));
        }
        self * a + b
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self.each(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        self.each(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn is_below(self, other: Self) -> Self {
        self.each(other, |a, b| if a < b { 1.0 } else { 0.0 })
    }
    #[inline(always)]
    fn root(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(self.0.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(1.0f32.to_bits()))))
    }
    #[inline(always)]
    fn array(self) -> [f32; WIDE] {
        self.0
    }
}
