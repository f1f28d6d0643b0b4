//! Eight lanes as two registers of four, with AVX2.

use std::arch::x86_64::{__m128, __m128i, __m256, __m256d, __m256i};
use std::arch::x86_64::{_CMP_EQ_OQ, _CMP_LE_OQ, _CMP_LT_OQ};
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Not, Sub};

use pulp::bytemuck::cast;
use pulp::x86::V3;

use super::vector::{Arithmetic, Float, HALF_STEP, MANTISSA, Mask, TWO_52, Vector, Words};
use super::{LANES, Lanes};

/// Even and odd elements of two registers.
const EVEN: i32 = 0b10_00_10_00;
const ODD: i32 = 0b11_01_11_01;

/// Low and high halves of two registers.
const LOW_HALVES: i32 = 0x20;
const HIGH_HALVES: i32 = 0x31;

/// Four short columns as eight rows.
#[inline(always)]
pub(super) fn short_rows(simd: V3, columns: [[f32; LANES]; 4]) -> [[f32; 4]; LANES] {
    let avx = simd.avx;
    let [a, b, c, d]: [__m256; 4] = cast(columns);
    let (ab, cd) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpacklo_ps(c, d));
    let (ab_high, cd_high) = (avx._mm256_unpackhi_ps(a, b), avx._mm256_unpackhi_ps(c, d));
    // Rows 0 and 4, 1 and 5, 2 and 6, 3 and 7.
    let pairs: [[[f32; 4]; 2]; 4] = cast([
        avx._mm256_shuffle_ps::<LOW_PAIRS>(ab, cd),
        avx._mm256_shuffle_ps::<HIGH_PAIRS>(ab, cd),
        avx._mm256_shuffle_ps::<LOW_PAIRS>(ab_high, cd_high),
        avx._mm256_shuffle_ps::<HIGH_PAIRS>(ab_high, cd_high),
    ]);
    std::array::from_fn(|l| pairs[l % 4][l / 4])
}

/// Low and high pairs of the halves of two registers.
const LOW_PAIRS: i32 = 0b01_00_01_00;
const HIGH_PAIRS: i32 = 0b11_10_11_10;

/// Eight numbers, or the all-ones and all-zeros of eight comparisons.
#[derive(Debug, Clone, Copy)]
pub struct Pair<T>([T; 2], V3);

/// Eight comparisons.
#[derive(Debug, Clone, Copy)]
pub struct Masks(Pair<__m256d>);

type Numbers = Pair<__m256d>;

impl<T: Copy> Pair<T> {
    #[inline(always)]
    fn map<R>(self, f: impl Fn(T) -> R) -> Pair<R> {
        Pair([f(self.0[0]), f(self.0[1])], self.1)
    }
    #[inline(always)]
    fn with<R>(self, other: Self, f: impl Fn(T, T) -> R) -> Pair<R> {
        Pair([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])], self.1)
    }
}

impl Arithmetic for V3 {
    type Float = Numbers;
    type Words = Pair<__m256i>;

    #[inline(always)]
    fn splat(self, x: f64) -> Numbers {
        Pair([self.avx._mm256_set1_pd(x); 2], self)
    }
    #[inline(always)]
    fn splat_word(self, x: u64) -> Pair<__m256i> {
        Pair([self.avx._mm256_set1_epi64x(x.cast_signed()); 2], self)
    }
    #[inline(always)]
    fn open_interval(self, high: Pair<__m256i>, low: Pair<__m256i>) -> Numbers {
        let (ones, half) = (self.splat_word(1.0f64.to_bits()), self.splat_word(0xffff_ffff));
        let avx2 = self.avx2;
        let joined = high.with(low.with(half, |l, m| avx2._mm256_and_si256(l, m)), |h, l| {
            avx2._mm256_or_si256(avx2._mm256_slli_epi64::<32>(h), l)
        });
        let bits = joined.with(ones, |k, one| avx2._mm256_or_si256(avx2._mm256_srli_epi64::<12>(k), one));
        bits.map(|bits| self.avx._mm256_castsi256_pd(bits)) - self.splat(1.0) + self.splat(HALF_STEP)
    }
}

impl Vector for V3 {
    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Numbers {
        Pair(cast(lanes.0), self)
    }
    #[inline(always)]
    fn store(self, x: Numbers, lanes: &mut Lanes) {
        lanes.0 = cast(x.0);
    }
    #[inline(always)]
    fn load_words(self, words: &[u64; LANES]) -> Pair<__m256i> {
        Pair(cast(*words), self)
    }
    #[inline(always)]
    fn load_short(self, words: &[u32; LANES]) -> Pair<__m256i> {
        let parts: [__m128i; 2] = cast(*words);
        Pair(parts.map(|part| self.avx2._mm256_cvtepu32_epi64(part)), self)
    }
    #[inline(always)]
    fn unzip(self, pairs: [[f32; 2]; LANES]) -> [Numbers; 2] {
        let [a, b, c, d]: [__m128; 4] = cast(pairs);
        let (sse, avx) = (self.sse, self.avx);
        let even = [sse._mm_shuffle_ps::<EVEN>(a, b), sse._mm_shuffle_ps::<EVEN>(c, d)];
        let odd = [sse._mm_shuffle_ps::<ODD>(a, b), sse._mm_shuffle_ps::<ODD>(c, d)];
        [even, odd].map(|part| Pair(part.map(|four| avx._mm256_cvtps_pd(four)), self))
    }
    #[inline(always)]
    fn narrow(self, x: Numbers) -> [f32; LANES] {
        cast(x.0.map(|four| self.avx._mm256_cvtpd_ps(four)))
    }
    #[inline(always)]
    fn rows(self, columns: [Numbers; 4]) -> [[f64; 4]; LANES] {
        let avx = self.avx;
        let half = |part: usize| {
            let [a, b, c, d] = columns.map(|column| column.0[part]);
            let (ab_even, ab_odd) = (avx._mm256_unpacklo_pd(a, b), avx._mm256_unpackhi_pd(a, b));
            let (cd_even, cd_odd) = (avx._mm256_unpacklo_pd(c, d), avx._mm256_unpackhi_pd(c, d));
            [
                avx._mm256_permute2f128_pd::<LOW_HALVES>(ab_even, cd_even),
                avx._mm256_permute2f128_pd::<LOW_HALVES>(ab_odd, cd_odd),
                avx._mm256_permute2f128_pd::<HIGH_HALVES>(ab_even, cd_even),
                avx._mm256_permute2f128_pd::<HIGH_HALVES>(ab_odd, cd_odd),
            ]
        };
        cast([half(0), half(1)])
    }
    #[inline(always)]
    fn short_rows(self, columns: [[f32; LANES]; 4]) -> [[f32; 4]; LANES] {
        short_rows(self, columns)
    }
}

impl Float for Numbers {
    type Mask = Masks;

    #[inline(always)]
    fn below(self, other: Self) -> Masks {
        Masks(self.with(other, |a, b| self.1.avx._mm256_cmp_pd::<_CMP_LT_OQ>(a, b)))
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> Masks {
        Masks(self.with(other, |a, b| self.1.avx._mm256_cmp_pd::<_CMP_LE_OQ>(a, b)))
    }
    #[inline(always)]
    fn equals(self, other: Self) -> Masks {
        Masks(self.with(other, |a, b| self.1.avx._mm256_cmp_pd::<_CMP_EQ_OQ>(a, b)))
    }
    #[inline(always)]
    fn select(mask: Masks, yes: Self, no: Self) -> Self {
        let avx = yes.1.avx;
        let choose = |part: usize| avx._mm256_blendv_pd(no.0[part], yes.0[part], mask.0.0[part]);
        Pair([choose(0), choose(1)], yes.1)
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx._mm256_min_pd(a, b))
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx._mm256_max_pd(a, b))
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        let sign = self.1.splat(-0.0);
        self.with(sign, |x, sign| self.1.avx._mm256_andnot_pd(sign, x))
    }
    #[inline(always)]
    fn signed_like(self, sign: Self) -> Self {
        let (avx, bit) = (self.1.avx, self.1.splat(-0.0));
        self.magnitude().with(sign.with(bit, |x, bit| avx._mm256_and_pd(x, bit)), |x, sign| avx._mm256_or_pd(x, sign))
    }
    #[inline(always)]
    fn root(self) -> Self {
        self.map(|x| self.1.avx._mm256_sqrt_pd(x))
    }
    #[inline(always)]
    fn plus_where(self, mask: Masks, x: Self) -> Self {
        // Where the mask is false, zero: it changes nothing that is no -0.
        self + mask.0.with(x, |mask, x| self.1.avx._mm256_and_pd(mask, x))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        let (avx2, one) = (self.1.avx2, self.1.splat_word(1.0f64.to_bits()));
        let shifted = Pair(cast::<_, [__m256i; 2]>(self.0), self.1).map(|bits| avx2._mm256_slli_epi64::<52>(bits));
        Pair(cast((shifted + one).0), self.1)
    }
    #[inline(always)]
    fn mantissa_and_exponent(self) -> (Self, Self) {
        let (simd, avx2) = (self.1, self.1.avx2);
        let bits = Pair(cast::<_, [__m256i; 2]>(self.0), simd);
        let (one, two_52, mantissa) =
            (simd.splat_word(1.0f64.to_bits()), simd.splat_word(TWO_52.to_bits()), simd.splat_word(MANTISSA));
        let m = bits.with(mantissa, |x, mask| avx2._mm256_and_si256(x, mask));
        let m = m.with(one, |x, one| avx2._mm256_or_si256(x, one));
        let k = bits.with(two_52, |x, big| avx2._mm256_or_si256(avx2._mm256_srli_epi64::<52>(x), big));
        (Pair(cast(m.0), simd), Pair(cast(k.0), simd) - simd.splat(TWO_52 + 1023.0))
    }
}

impl Words for Pair<__m256i> {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx2._mm256_mul_epu32(a, b))
    }
    #[inline(always)]
    fn high(self) -> Self {
        self.map(|x| self.1.avx2._mm256_srli_epi64::<32>(x))
    }
}

impl Mask for Masks {
    #[inline(always)]
    fn any(self) -> bool {
        let Pair([low, high], simd) = self.0;
        simd.avx._mm256_movemask_pd(simd.avx._mm256_or_pd(low, high)) != 0
    }
    #[inline(always)]
    fn bits(self) -> u32 {
        let Pair([low, high], simd) = self.0;
        (simd.avx._mm256_movemask_pd(low) | simd.avx._mm256_movemask_pd(high) << 4).cast_unsigned()
    }
}

impl Add for Numbers {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx._mm256_add_pd(a, b))
    }
}
impl Sub for Numbers {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx._mm256_sub_pd(a, b))
    }
}
impl Mul for Numbers {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx._mm256_mul_pd(a, b))
    }
}
impl Div for Numbers {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx._mm256_div_pd(a, b))
    }
}
impl BitAnd for Masks {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(self.0.with(other.0, |a, b| self.0.1.avx._mm256_and_pd(a, b)))
    }
}
impl BitOr for Masks {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0.with(other.0, |a, b| self.0.1.avx._mm256_or_pd(a, b)))
    }
}
impl Not for Masks {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        let ones = self.0.1.splat(f64::from_bits(u64::MAX));
        Self(self.0.with(ones, |a, ones| self.0.1.avx._mm256_xor_pd(a, ones)))
    }
}
impl Add for Pair<__m256i> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx2._mm256_add_epi64(a, b))
    }
}
impl BitXor for Pair<__m256i> {
    type Output = Self;
    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        self.with(other, |a, b| self.1.avx2._mm256_xor_si256(a, b))
    }
}
