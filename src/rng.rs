//! Counter-based randomness: every draw is a pure function of (seed, episode, step, stream).
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011). The key is the environment's seed; the counter holds step, stream and episode, so that no draw
//! depends on how many were made before it, on the thread, or on the other environments of a batch.

use crate::math::{self, polynomial};
use crate::simd::{Arithmetic, Float, LANES, Lanes, Mask, One, Simd, Vector, Words, Work};

/// What a draw is for. The number is part of the counter: changing one changes every recorded result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Hourly demand noise.
    DemandNoise = 0,
    /// Order of equal offers.
    Ties = 1,
    /// Where an episode starts.
    Start = 2,
    /// A number of the scenario drawn at reset.
    Parameter = 3,
    /// What a learner adds to the mean of its actions.
    Exploration = 4,
    /// Order of a learner's samples.
    Shuffle = 5,
    /// Who plays an agent in an episode.
    Rival = 6,
    /// Noise of a rival's action.
    Action = 7,
    /// Which rows of a replay buffer a sample holds: the seed is the buffer's, the episode the number of the draw, the
    /// step the place in the sample.
    Replay = 8,
}

/// The streams of one environment in one episode.
#[derive(Debug, Clone, Copy)]
pub struct Streams {
    key: [u32; 2],
    episode: [u32; 2],
}

impl Streams {
    /// Streams of the environment with this seed in this episode.
    #[inline]
    pub fn new(seed: u64, episode: u64) -> Self {
        Self { key: halves(seed), episode: halves(episode) }
    }

    /// Four random words for a step, a kind and an index below 2^24.
    #[inline]
    pub fn words(&self, step: u32, kind: Kind, index: u32) -> [u32; 4] {
        let stream = kind as u32 | index << 8;
        philox4x32_10(self.key, [step, stream, self.episode[0], self.episode[1]])
    }

    /// A uniform draw from the open interval (0, 1), with 52 random bits: half a step more than 2^52 is still exact.
    #[inline]
    pub fn uniform(&self, step: u32, kind: Kind, index: u32) -> f64 {
        let words = self.words(step, kind, index);
        One.open_interval(u64::from(words[0]), u64::from(words[1]))
    }

    /// A standard normal draw, by inversion.
    #[inline]
    pub fn normal(&self, step: u32, kind: Kind, index: u32) -> f64 {
        inverse_normal_cdf(self.uniform(step, kind, index))
    }

    /// Two standard normal draws, each by inversion of a uniform one: the first is that of [`Streams::normal`].
    #[inline]
    pub fn normals(&self, step: u32, kind: Kind, index: u32) -> [f64; 2] {
        let [a, b, c, d] = self.words(step, kind, index).map(u64::from);
        [One.open_interval(a, b), One.open_interval(c, d)].map(inverse_normal_cdf)
    }

    /// A uniform draw from `0..n`; n is at least 1.
    #[inline]
    pub fn below(&self, n: usize, step: u32, kind: Kind, index: u32) -> usize {
        ((self.uniform(step, kind, index) * n as f64) as usize).min(n - 1)
    }
}

/// Random words that order equal offers: one per offer, four per block of the counter.
///
/// `block(b)` gives the words of offers 4b to 4b + 3.
pub fn tie_words(words: &mut Vec<u32>, n: usize, mut block: impl FnMut(u32) -> [u32; 4]) {
    words.clear();
    for b in 0..n.div_ceil(4) {
        words.extend_from_slice(&block(b as u32));
    }
    words.truncate(n);
}

#[inline(always)]
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// Rounds of the generator.
const ROUNDS: usize = 10;

/// Ten rounds of Philox4x32 on one counter block.
#[inline]
pub fn philox4x32_10(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    // What stands in the high halves has no meaning.
    philox(One, key.map(u64::from), counter.map(u64::from)).map(|word| word as u32)
}

/// Philox on words whose low halves count; the high halves of the result are not cleared.
#[inline(always)]
fn philox<A: Arithmetic>(simd: A, mut key: [A::Words; 2], mut c: [A::Words; 4]) -> [A::Words; 4] {
    let multipliers = [simd.splat_word(0xD251_1F53), simd.splat_word(0xCD9E_8D57)];
    let weyl = [simd.splat_word(0x9E37_79B9), simd.splat_word(0xBB67_AE85)];
    for _ in 0..ROUNDS {
        let p0 = multipliers[0].times(c[0]);
        let p1 = multipliers[1].times(c[2]);
        c = [p1.high() ^ c[1] ^ key[0], p1, p0.high() ^ c[3] ^ key[1], p0];
        key = [key[0] + weyl[0], key[1] + weyl[1]];
    }
    c
}

/// Four random words for each lane: as [`Streams::words`], in the low halves.
#[inline(always)]
fn words_lanes<V: Vector>(
    simd: V,
    seeds: &[u64; LANES],
    episodes: &[u64; LANES],
    steps: &[u32; LANES],
    kind: Kind,
    index: u32,
) -> [V::Words; 4] {
    let (seeds, episodes) = (simd.load_words(seeds), simd.load_words(episodes));
    let stream = simd.splat_word(u64::from(kind as u32 | index << 8));
    let counter = [simd.load_short(steps), stream, episodes, episodes.high()];
    philox(simd, [seeds, seeds.high()], counter)
}

/// A uniform draw for each lane: as [`Streams::uniform`], to the bit.
#[inline(always)]
pub fn uniform_lanes<V: Vector>(
    simd: V,
    seeds: &[u64; LANES],
    episodes: &[u64; LANES],
    steps: &[u32; LANES],
    kind: Kind,
    index: u32,
) -> V::Float {
    let words = words_lanes(simd, seeds, episodes, steps, kind, index);
    simd.open_interval(words[0], words[1])
}

/// A standard normal draw for each lane: as [`Streams::normal`], to the bit.
#[inline(always)]
pub fn normal_lanes<V: Vector>(
    simd: V,
    seeds: &[u64; LANES],
    episodes: &[u64; LANES],
    steps: &[u32; LANES],
    kind: Kind,
    index: u32,
) -> V::Float {
    quantile_lanes(simd, uniform_lanes(simd, seeds, episodes, steps, kind, index))
}

/// Two standard normal draws for each lane: as [`Streams::normals`], to the bit.
#[inline(always)]
pub fn normals_lanes<V: Vector>(
    simd: V,
    seeds: &[u64; LANES],
    episodes: &[u64; LANES],
    steps: &[u32; LANES],
    kind: Kind,
    index: u32,
) -> [V::Float; 2] {
    let words = words_lanes(simd, seeds, episodes, steps, kind, index);
    let one = quantile_lanes(simd, simd.open_interval(words[0], words[1]));
    [one, quantile_lanes(simd, simd.open_interval(words[2], words[3]))]
}

/// Uniform draws of one seed and one episode, of the steps 0, 1, 2, ...: as [`Streams::uniform`] of index 0, to the bit.
pub fn fill_uniform(simd: Simd, seed: u64, episode: u64, kind: Kind, draws: &mut [f64]) {
    simd.run(Fill { seed, episode, kind, draws });
}

struct Fill<'a> {
    seed: u64,
    episode: u64,
    kind: Kind,
    draws: &'a mut [f64],
}

impl Work for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let (seeds, episodes) = ([self.seed; LANES], [self.episode; LANES]);
        let mut steps = [0, 1, 2, 3, 4, 5, 6, 7];
        for draws in self.draws.chunks_mut(LANES) {
            let drawn = simd.array(uniform_lanes(simd, &seeds, &episodes, &steps, self.kind, 0));
            draws.copy_from_slice(&drawn[..draws.len()]);
            steps = steps.map(|step| step.wrapping_add(LANES as u32));
        }
    }
}

#[inline(always)]
fn quantile_lanes<V: Vector>(simd: V, p: V::Float) -> V::Float {
    let (z, r) = quantile_but_far(simd, p);
    if simd.splat(FAR).below(r).any() {
        // One draw in 10^11.
        return simd.load(&Lanes(simd.array(p).map(inverse_normal_cdf)));
    }
    z
}

/// Quantile of the standard normal distribution: algorithm AS 241, routine PPND16 (Wichura, Applied Statistics 37,
/// 1988), about 1 part in 10^15. `p` lies in (0, 1).
///
/// Inversion takes one uniform per normal and keeps the order of draws; without branches it vectorises.
#[inline]
pub fn inverse_normal_cdf(p: f64) -> f64 {
    let (z, r) = quantile_but_far(One, p);
    if r <= FAR {
        return z;
    }
    let r = r - FAR;
    (polynomial(One, &FAR_NUMERATOR, r) / polynomial(One, &FAR_DENOMINATOR, r)).copysign(p - 0.5)
}

/// Where the far tail begins, in sqrt(-ln(p)): p = 1.4e-11.
const FAR: f64 = 5.0;

/// The quantile where `p` is not in the far tail, and sqrt(-ln(tail)), which tells. Both branches are computed and one
/// is chosen, with one division.
#[inline(always)]
fn quantile_but_far<A: Arithmetic>(simd: A, p: A::Float) -> (A::Float, A::Float) {
    let zero = simd.splat(0.0);
    let q = p - simd.splat(0.5);
    let centre = simd.splat(0.180_625) - q * q;
    let tail = p.smaller(simd.splat(1.0) - p);
    let r = (zero - math::ln(simd, tail)).root();
    let in_centre = q.magnitude().at_most(simd.splat(0.425));
    let middle = r - simd.splat(1.6);
    let in_numerator = q * polynomial(simd, &CENTRE_NUMERATOR, centre);
    let numerator = A::Float::select(in_centre, in_numerator, polynomial(simd, &MIDDLE_NUMERATOR, middle));
    let in_denominator = polynomial(simd, &CENTRE_DENOMINATOR, centre);
    let denominator = A::Float::select(in_centre, in_denominator, polynomial(simd, &MIDDLE_DENOMINATOR, middle));
    ((numerator / denominator).signed_like(q), A::Float::select(in_centre, zero, r))
}

// Coefficients a0..a7, b0..b7 (centre), c0..c7, d0..d7 (middle) and e0..e7, f0..f7 (far tail) of AS 241.
const CENTRE_NUMERATOR: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRE_DENOMINATOR: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_545e3,
];
const MIDDLE_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_DENOMINATOR: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];
