//! Eight lanes in one register, with AVX-512.

use std::arch::x86_64::{__m128, __m256i, __m512d, __m512i};
use std::arch::x86_64::{_CMP_EQ_OQ, _CMP_LE_OQ, _CMP_LT_OQ};
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Not, Sub};

use pulp::bytemuck::cast;
use pulp::x86::V4;

use super::avx2::{column_halves, short_rows};
use super::vector::{Arithmetic, Float, HALF_STEP, MANTISSA, Mask, TWO_52, Vector, Words};
use super::{LANES, Lanes};

/// Even and odd elements of two registers.
const EVEN: i32 = 0b10_00_10_00;
const ODD: i32 = 0b11_01_11_01;

/// Eight numbers.
#[derive(Debug, Clone, Copy)]
pub struct Numbers(__m512d, V4);

/// Eight words.
#[derive(Debug, Clone, Copy)]
pub struct Integers(__m512i, V4);

/// Eight comparisons, a bit each.
#[derive(Debug, Clone, Copy)]
pub struct Masks(u8);

impl Arithmetic for V4 {
    type Float = Numbers;
    type Words = Integers;

    #[inline(always)]
    fn splat(self, x: f64) -> Numbers {
        Numbers(self.avx512f._mm512_set1_pd(x), self)
    }
    #[inline(always)]
    fn splat_word(self, x: u64) -> Integers {
        Integers(self.avx512f._mm512_set1_epi64(x.cast_signed()), self)
    }
    #[inline(always)]
    fn open_interval(self, high: Integers, low: Integers) -> Numbers {
        let avx = self.avx512f;
        let low = avx._mm512_and_si512(low.0, self.splat_word(0xffff_ffff).0);
        let joined = avx._mm512_or_si512(avx._mm512_slli_epi64::<32>(high.0), low);
        let bits = avx._mm512_or_si512(avx._mm512_srli_epi64::<12>(joined), self.splat_word(1.0f64.to_bits()).0);
        Numbers(cast(bits), self) - self.splat(1.0) + self.splat(HALF_STEP)
    }
}

impl Vector for V4 {
    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Numbers {
        Numbers(cast(lanes.0), self)
    }
    #[inline(always)]
    fn store(self, x: Numbers, lanes: &mut Lanes) {
        lanes.0 = cast(x.0);
    }
    #[inline(always)]
    fn load_words(self, words: &[u64; LANES]) -> Integers {
        Integers(cast(*words), self)
    }
    #[inline(always)]
    fn load_short(self, words: &[u32; LANES]) -> Integers {
        Integers(self.avx512f._mm512_cvtepu32_epi64(cast::<_, __m256i>(*words)), self)
    }
    #[inline(always)]
    fn unzip(self, pairs: [[f32; 2]; LANES]) -> [Numbers; 2] {
        let [a, b, c, d]: [__m128; 4] = cast(pairs);
        let (sse, avx) = (self.sse, self.avx);
        let even = avx._mm256_set_m128(sse._mm_shuffle_ps::<EVEN>(c, d), sse._mm_shuffle_ps::<EVEN>(a, b));
        let odd = avx._mm256_set_m128(sse._mm_shuffle_ps::<ODD>(c, d), sse._mm_shuffle_ps::<ODD>(a, b));
        [Numbers(self.avx512f._mm512_cvtps_pd(even), self), Numbers(self.avx512f._mm512_cvtps_pd(odd), self)]
    }
    #[inline(always)]
    fn narrow(self, x: Numbers) -> [f32; LANES] {
        cast(self.avx512f._mm512_cvtpd_ps(x.0))
    }
    #[inline(always)]
    fn rows(self, [a, b, c, d]: [Numbers; 4]) -> [[f64; 4]; LANES] {
        let avx = self.avx512f;
        let (a, b, c, d) = (a.0, b.0, c.0, d.0);
        let (ab_even, ab_odd) = (avx._mm512_unpacklo_pd(a, b), avx._mm512_unpackhi_pd(a, b));
        let (cd_even, cd_odd) = (avx._mm512_unpacklo_pd(c, d), avx._mm512_unpackhi_pd(c, d));
        // Two rows each: those of the first quarters, 0 and 2, and of the last, 4 and 6; odd ones likewise.
        let (first, last) = (cast([0u64, 1, 8, 9, 2, 3, 10, 11]), cast([4u64, 5, 12, 13, 6, 7, 14, 15]));
        let pairs: [[[f64; 4]; 2]; 4] = cast([
            avx._mm512_permutex2var_pd(ab_even, first, cd_even),
            avx._mm512_permutex2var_pd(ab_odd, first, cd_odd),
            avx._mm512_permutex2var_pd(ab_even, last, cd_even),
            avx._mm512_permutex2var_pd(ab_odd, last, cd_odd),
        ]);
        let [[r0, r2], [r1, r3], [r4, r6], [r5, r7]] = pairs;
        [r0, r1, r2, r3, r4, r5, r6, r7]
    }
    #[inline(always)]
    fn columns(self, rows: [[f64; 4]; LANES]) -> [Numbers; 4] {
        let [low, high] = column_halves(*self, rows);
        [
            Numbers(cast([low[0], high[0]]), self),
            Numbers(cast([low[1], high[1]]), self),
            Numbers(cast([low[2], high[2]]), self),
            Numbers(cast([low[3], high[3]]), self),
        ]
    }
    #[inline(always)]
    fn short_rows(self, columns: [[f32; LANES]; 4]) -> [[f32; 4]; LANES] {
        short_rows(*self, columns)
    }
}

impl Float for Numbers {
    type Mask = Masks;

    #[inline(always)]
    fn below(self, other: Self) -> Masks {
        Masks(self.1.avx512f._mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, other.0))
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> Masks {
        Masks(self.1.avx512f._mm512_cmp_pd_mask::<_CMP_LE_OQ>(self.0, other.0))
    }
    #[inline(always)]
    fn equals(self, other: Self) -> Masks {
        Masks(self.1.avx512f._mm512_cmp_pd_mask::<_CMP_EQ_OQ>(self.0, other.0))
    }
    #[inline(always)]
    fn select(mask: Masks, yes: Self, no: Self) -> Self {
        Self(yes.1.avx512f._mm512_mask_blend_pd(mask.0, no.0, yes.0), yes.1)
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_min_pd(self.0, other.0), self.1)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_max_pd(self.0, other.0), self.1)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        Self(self.1.avx512f._mm512_abs_pd(self.0), self.1)
    }
    #[inline(always)]
    fn signed_like(self, sign: Self) -> Self {
        // Bit by bit: the first where the mask has a one, else the second.
        const CHOOSE: i32 = 0b1100_1010;
        let magnitude = self.1.splat_word(u64::MAX >> 1).0;
        let bits = self.1.avx512f._mm512_ternarylogic_epi64::<CHOOSE>(magnitude, cast(self.0), cast(sign.0));
        Self(cast(bits), self.1)
    }
    #[inline(always)]
    fn root(self) -> Self {
        Self(self.1.avx512f._mm512_sqrt_pd(self.0), self.1)
    }
    #[inline(always)]
    fn plus_where(self, mask: Masks, x: Self) -> Self {
        Self(self.1.avx512f._mm512_mask_add_pd(self.0, mask.0, self.0, x.0), self.1)
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        let shifted = Integers(self.1.avx512f._mm512_slli_epi64::<52>(cast(self.0)), self.1);
        Self(cast((shifted + self.1.splat_word(1.0f64.to_bits())).0), self.1)
    }
    #[inline(always)]
    fn mantissa_and_exponent(self) -> (Self, Self) {
        let (simd, avx) = (self.1, self.1.avx512f);
        let bits: __m512i = cast(self.0);
        let m = avx._mm512_and_si512(bits, simd.splat_word(MANTISSA).0);
        let m = avx._mm512_or_si512(m, simd.splat_word(1.0f64.to_bits()).0);
        let k = avx._mm512_or_si512(avx._mm512_srli_epi64::<52>(bits), simd.splat_word(TWO_52.to_bits()).0);
        (Self(cast(m), simd), Self(cast(k), simd) - simd.splat(TWO_52 + 1023.0))
    }
}

impl Words for Integers {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_mul_epu32(self.0, other.0), self.1)
    }
    #[inline(always)]
    fn high(self) -> Self {
        Self(self.1.avx512f._mm512_srli_epi64::<32>(self.0), self.1)
    }
}

impl Mask for Masks {
    #[inline(always)]
    fn any(self) -> bool {
        self.0 != 0
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl Add for Numbers {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_add_pd(self.0, other.0), self.1)
    }
}
impl Sub for Numbers {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_sub_pd(self.0, other.0), self.1)
    }
}
impl Mul for Numbers {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_mul_pd(self.0, other.0), self.1)
    }
}
impl Div for Numbers {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_div_pd(self.0, other.0), self.1)
    }
}
impl BitAnd for Masks {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
impl BitOr for Masks {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
impl Not for Masks {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(!self.0)
    }
}
impl Add for Integers {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_add_epi64(self.0, other.0), self.1)
    }
}
impl BitXor for Integers {
    type Output = Self;
    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_xor_si512(self.0, other.0), self.1)
    }
}
