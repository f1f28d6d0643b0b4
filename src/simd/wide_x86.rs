//! Sixteen single-precision numbers in two registers of AVX2 or one of AVX-512.

use std::arch::x86_64::_CMP_LT_OQ;
use std::arch::x86_64::{__m256, __m256i, __m512, __m512i};
use std::ops::{Add, Div, Mul, Sub};

use pulp::bytemuck::cast;
use pulp::x86::{V3, V4};

use super::wide::{Short, WIDE, Wide};
use super::{Compiled, Work};

/// Sixteen numbers in two registers.
#[derive(Debug, Clone, Copy)]
pub struct Two([__m256; 2], V3);

/// Sixteen numbers in one register.
#[derive(Debug, Clone, Copy)]
pub struct One(__m512, V4);

impl Short for V3 {
    type Wide = Two;
    const ROOMY: bool = false;

    #[inline(always)]
    fn wide(self, x: [f32; WIDE]) -> Two {
        Two(cast(x), self)
    }
    #[inline(always)]
    fn wide_splat(self, x: f32) -> Two {
        Two([self.avx._mm256_set1_ps(x); 2], self)
    }
    #[inline(always)]
    fn apart<W: Work>(self, work: W) -> W::Output {
        self.vectorize(Compiled { simd: self, work })
    }
}

impl Short for V4 {
    type Wide = One;
    const ROOMY: bool = true;

    #[inline(always)]
    fn wide(self, x: [f32; WIDE]) -> One {
        One(cast(x), self)
    }
    #[inline(always)]
    fn wide_splat(self, x: f32) -> One {
        One(self.avx512f._mm512_set1_ps(x), self)
    }
    #[inline(always)]
    fn apart<W: Work>(self, work: W) -> W::Output {
        self.vectorize(Compiled { simd: self, work })
    }
}

/// The same instruction on both registers. No closure: one that is not inlined is compiled without the instructions.
macro_rules! both {
    ($($part:ident).+ :: $instruction:ident, $a:expr $(, $b:expr)*) => {
        Two([$a.1.$($part).+.$instruction($a.0[0] $(, $b.0[0])*), $a.1.$($part).+.$instruction($a.0[1] $(, $b.0[1])*)], $a.1)
    };
}

/// The operators of a type.
macro_rules! operators {
    ($type:ident, $($trait:ident $method:ident $a:ident $b:ident $result:expr;)+) => {$(
        impl $trait for $type {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $result
            }
        }
    )+};
}

operators! { Two,
    Add add a b both!(avx::_mm256_add_ps, a, b);
    Sub sub a b both!(avx::_mm256_sub_ps, a, b);
    Mul mul a b both!(avx::_mm256_mul_ps, a, b);
    Div div a b both!(avx::_mm256_div_ps, a, b);
}

operators! { One,
    Add add a b One(a.1.avx512f._mm512_add_ps(a.0, b.0), a.1);
    Sub sub a b One(a.1.avx512f._mm512_sub_ps(a.0, b.0), a.1);
    Mul mul a b One(a.1.avx512f._mm512_mul_ps(a.0, b.0), a.1);
    Div div a b One(a.1.avx512f._mm512_div_ps(a.0, b.0), a.1);
}

impl Wide for Two {
    #[inline(always)]
    fn times_plus(self, a: Self, b: Self) -> Self {
        both!(fma::_mm256_fmadd_ps, self, a, b)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        both!(avx::_mm256_max_ps, self, other)
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        both!(avx::_mm256_min_ps, self, other)
    }
    #[inline(always)]
    fn is_below(self, other: Self) -> Self {
        let avx = self.1.avx;
        let ones = avx._mm256_set1_ps(1.0);
        let below = [
            avx._mm256_cmp_ps::<_CMP_LT_OQ>(self.0[0], other.0[0]),
            avx._mm256_cmp_ps::<_CMP_LT_OQ>(self.0[1], other.0[1]),
        ];
        Self([avx._mm256_and_ps(below[0], ones), avx._mm256_and_ps(below[1], ones)], self.1)
    }
    #[inline(always)]
    fn root(self) -> Self {
        both!(avx::_mm256_sqrt_ps, self)
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        let avx = self.1.avx2;
        let one: __m256i = cast([1.0f32; 8]);
        let parts: [__m256i; 2] = cast(self.0);
        let shifted = [avx._mm256_slli_epi32::<23>(parts[0]), avx._mm256_slli_epi32::<23>(parts[1])];
        Self(cast([avx._mm256_add_epi32(shifted[0], one), avx._mm256_add_epi32(shifted[1], one)]), self.1)
    }
    #[inline(always)]
    fn array(self) -> [f32; WIDE] {
        cast(self.0)
    }
}

impl Wide for One {
    #[inline(always)]
    fn times_plus(self, a: Self, b: Self) -> Self {
        Self(self.1.avx512f._mm512_fmadd_ps(self.0, a.0, b.0), self.1)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_max_ps(self.0, other.0), self.1)
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_min_ps(self.0, other.0), self.1)
    }
    #[inline(always)]
    fn is_below(self, other: Self) -> Self {
        let avx = self.1.avx512f;
        let below = avx._mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0);
        Self(avx._mm512_maskz_mov_ps(below, avx._mm512_set1_ps(1.0)), self.1)
    }
    #[inline(always)]
    fn root(self) -> Self {
        Self(self.1.avx512f._mm512_sqrt_ps(self.0), self.1)
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        let avx = self.1.avx512f;
        let shifted = avx._mm512_slli_epi32::<23>(cast::<_, __m512i>(self.0));
        Self(cast(avx._mm512_add_epi32(shifted, cast([1.0f32; WIDE]))), self.1)
    }
    #[inline(always)]
    fn array(self) -> [f32; WIDE] {
        cast(self.0)
    }
}
