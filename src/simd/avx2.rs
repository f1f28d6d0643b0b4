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
    let [[r0, r4], [r1, r5], [r2, r6], [r3, r7]]: [[[f32; 4]; 2]; 4] = cast([
        avx._mm256_shuffle_ps::<LOW_PAIRS>(ab, cd),
        avx._mm256_shuffle_ps::<HIGH_PAIRS>(ab, cd),
        avx._mm256_shuffle_ps::<LOW_PAIRS>(ab_high, cd_high),
        avx._mm256_shuffle_ps::<HIGH_PAIRS>(ab_high, cd_high),
    ]);
    [r0, r1, r2, r3, r4, r5, r6, r7]
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

/// The same instruction on both registers of its operands. No closure: one that is not inlined is compiled without the
/// instructions.
macro_rules! both {
    ($token:expr, $($part:ident).+ :: $instruction:ident $(::<$constant:tt>)? ($a:expr)) => {
        Pair(
            [$token.$($part).+.$instruction$(::<$constant>)?($a.0[0]), $token.$($part).+.$instruction$(::<$constant>)?($a.0[1])],
            $token,
        )
    };
    ($token:expr, $($part:ident).+ :: $instruction:ident $(::<$constant:tt>)? ($a:expr, $b:expr)) => {
        Pair(
            [
                $token.$($part).+.$instruction$(::<$constant>)?($a.0[0], $b.0[0]),
                $token.$($part).+.$instruction$(::<$constant>)?($a.0[1], $b.0[1]),
            ],
            $token,
        )
    };
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
        let high = both!(self, avx2::_mm256_slli_epi64::<32>(high));
        let low = both!(self, avx2::_mm256_and_si256(low, half));
        let joined = both!(self, avx2::_mm256_or_si256(high, low));
        let bits = both!(self, avx2::_mm256_srli_epi64::<12>(joined));
        let bits: Pair<__m256i> = both!(self, avx2::_mm256_or_si256(bits, ones));
        Pair(cast(bits.0), self) - self.splat(1.0) + self.splat(HALF_STEP)
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
        Pair([self.avx2._mm256_cvtepu32_epi64(parts[0]), self.avx2._mm256_cvtepu32_epi64(parts[1])], self)
    }
    #[inline(always)]
    fn unzip(self, pairs: [[f32; 2]; LANES]) -> [Numbers; 2] {
        let [a, b, c, d]: [__m128; 4] = cast(pairs);
        let (sse, avx) = (self.sse, self.avx);
        let even = [sse._mm_shuffle_ps::<EVEN>(a, b), sse._mm_shuffle_ps::<EVEN>(c, d)];
        let odd = [sse._mm_shuffle_ps::<ODD>(a, b), sse._mm_shuffle_ps::<ODD>(c, d)];
        [
            Pair([avx._mm256_cvtps_pd(even[0]), avx._mm256_cvtps_pd(even[1])], self),
            Pair([avx._mm256_cvtps_pd(odd[0]), avx._mm256_cvtps_pd(odd[1])], self),
        ]
    }
    #[inline(always)]
    fn narrow(self, x: Numbers) -> [f32; LANES] {
        cast([self.avx._mm256_cvtpd_ps(x.0[0]), self.avx._mm256_cvtpd_ps(x.0[1])])
    }
    #[inline(always)]
    fn rows(self, [a, b, c, d]: [Numbers; 4]) -> [[f64; 4]; LANES] {
        cast([four_rows(self, [a.0[0], b.0[0], c.0[0], d.0[0]]), four_rows(self, [a.0[1], b.0[1], c.0[1], d.0[1]])])
    }
    #[inline(always)]
    fn columns(self, rows: [[f64; 4]; LANES]) -> [Numbers; 4] {
        let [low, high] = column_halves(self, rows);
        [
            Pair([low[0], high[0]], self),
            Pair([low[1], high[1]], self),
            Pair([low[2], high[2]], self),
            Pair([low[3], high[3]], self),
        ]
    }
    #[inline(always)]
    fn short_rows(self, columns: [[f32; LANES]; 4]) -> [[f32; 4]; LANES] {
        short_rows(self, columns)
    }
}

/// Eight rows of four as four columns, each in two halves.
#[inline(always)]
pub(super) fn column_halves(simd: V3, rows: [[f64; 4]; LANES]) -> [[__m256d; 4]; 2] {
    let [low, high]: [[__m256d; 4]; 2] = cast(rows);
    // Rows as columns are columns as rows.
    [four_rows(simd, low), four_rows(simd, high)]
}

/// Four columns of four as rows.
#[inline(always)]
fn four_rows(simd: V3, [a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    let avx = simd.avx;
    let (ab_even, ab_odd) = (avx._mm256_unpacklo_pd(a, b), avx._mm256_unpackhi_pd(a, b));
    let (cd_even, cd_odd) = (avx._mm256_unpacklo_pd(c, d), avx._mm256_unpackhi_pd(c, d));
    [
        avx._mm256_permute2f128_pd::<LOW_HALVES>(ab_even, cd_even),
        avx._mm256_permute2f128_pd::<LOW_HALVES>(ab_odd, cd_odd),
        avx._mm256_permute2f128_pd::<HIGH_HALVES>(ab_even, cd_even),
        avx._mm256_permute2f128_pd::<HIGH_HALVES>(ab_odd, cd_odd),
    ]
}

impl Float for Numbers {
    type Mask = Masks;

    #[inline(always)]
    fn below(self, other: Self) -> Masks {
        Masks(both!(self.1, avx::_mm256_cmp_pd::<_CMP_LT_OQ>(self, other)))
    }
    #[inline(always)]
    fn at_most(self, other: Self) -> Masks {
        Masks(both!(self.1, avx::_mm256_cmp_pd::<_CMP_LE_OQ>(self, other)))
    }
    #[inline(always)]
    fn equals(self, other: Self) -> Masks {
        Masks(both!(self.1, avx::_mm256_cmp_pd::<_CMP_EQ_OQ>(self, other)))
    }
    #[inline(always)]
    fn select(mask: Masks, yes: Self, no: Self) -> Self {
        let (avx, mask) = (yes.1.avx, mask.0.0);
        let low = avx._mm256_blendv_pd(no.0[0], yes.0[0], mask[0]);
        Pair([low, avx._mm256_blendv_pd(no.0[1], yes.0[1], mask[1])], yes.1)
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        both!(self.1, avx::_mm256_min_pd(self, other))
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        both!(self.1, avx::_mm256_max_pd(self, other))
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        both!(self.1, avx::_mm256_andnot_pd(self.1.splat(-0.0), self))
    }
    #[inline(always)]
    fn signed_like(self, sign: Self) -> Self {
        let sign: Self = both!(self.1, avx::_mm256_and_pd(sign, self.1.splat(-0.0)));
        both!(self.1, avx::_mm256_or_pd(self.magnitude(), sign))
    }
    #[inline(always)]
    fn root(self) -> Self {
        both!(self.1, avx::_mm256_sqrt_pd(self))
    }
    #[inline(always)]
    fn plus_where(self, mask: Masks, x: Self) -> Self {
        // Where the mask is false, zero: it changes nothing that is no -0.
        let x: Self = both!(self.1, avx::_mm256_and_pd(mask.0, x));
        self + x
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        let (simd, one) = (self.1, self.1.splat_word(1.0f64.to_bits()));
        let bits = Pair(cast::<_, [__m256i; 2]>(self.0), simd);
        let shifted: Pair<__m256i> = both!(simd, avx2::_mm256_slli_epi64::<52>(bits));
        Pair(cast((shifted + one).0), simd)
    }
    #[inline(always)]
    fn mantissa_and_exponent(self) -> (Self, Self) {
        let simd = self.1;
        let bits = Pair(cast::<_, [__m256i; 2]>(self.0), simd);
        let m = both!(simd, avx2::_mm256_and_si256(bits, simd.splat_word(MANTISSA)));
        let m = both!(simd, avx2::_mm256_or_si256(m, simd.splat_word(1.0f64.to_bits())));
        let k = both!(simd, avx2::_mm256_srli_epi64::<52>(bits));
        let k = both!(simd, avx2::_mm256_or_si256(k, simd.splat_word(TWO_52.to_bits())));
        (Pair(cast(m.0), simd), Pair(cast(k.0), simd) - simd.splat(TWO_52 + 1023.0))
    }
}

impl Words for Pair<__m256i> {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        both!(self.1, avx2::_mm256_mul_epu32(self, other))
    }
    #[inline(always)]
    fn high(self) -> Self {
        both!(self.1, avx2::_mm256_srli_epi64::<32>(self))
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
        both!(self.1, avx::_mm256_add_pd(self, other))
    }
}
impl Sub for Numbers {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        both!(self.1, avx::_mm256_sub_pd(self, other))
    }
}
impl Mul for Numbers {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        both!(self.1, avx::_mm256_mul_pd(self, other))
    }
}
impl Div for Numbers {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        both!(self.1, avx::_mm256_div_pd(self, other))
    }
}
impl BitAnd for Masks {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(both!(self.0.1, avx::_mm256_and_pd(self.0, other.0)))
    }
}
impl BitOr for Masks {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(both!(self.0.1, avx::_mm256_or_pd(self.0, other.0)))
    }
}
impl Not for Masks {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(both!(self.0.1, avx::_mm256_xor_pd(self.0, self.0.1.splat(f64::from_bits(u64::MAX)))))
    }
}
impl Add for Pair<__m256i> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        both!(self.1, avx2::_mm256_add_epi64(self, other))
    }
}
impl BitXor for Pair<__m256i> {
    type Output = Self;
    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        both!(self.1, avx2::_mm256_xor_si256(self, other))
    }
}
