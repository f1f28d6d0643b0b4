//! The lanes' kernel called by itself, on drawn markets.

use std::hint::black_box;

use vecmarket::market::lanes::{self, Offers};
use vecmarket::market::pricing::Prices;
use vecmarket::simd::{LANES, Lanes, Simd, Vector, Work};

use crate::workload::{NO_BOUNDS, RULES, draw_markets};

/// Markets in groups of eight, one per lane.
pub struct EightMarkets {
    groups: Vec<Group>,
    dispatch: Vec<Lanes>,
}

struct Group {
    prices: Vec<Lanes>,
    quantities: Vec<Lanes>,
    demand: Lanes,
}

impl EightMarkets {
    /// Draws the markets; their number is a multiple of eight.
    pub fn new(generators: usize, count: usize) -> Self {
        let markets = draw_markets(generators, count);
        let group = |eight: &[crate::workload::Market]| Group {
            prices: (0..generators).map(|i| Lanes(std::array::from_fn(|l| eight[l].prices[i]))).collect(),
            quantities: (0..generators).map(|i| Lanes(std::array::from_fn(|l| eight[l].quantities[i]))).collect(),
            demand: Lanes(std::array::from_fn(|l| eight[l].demand)),
        };
        Self { groups: markets.chunks_exact(LANES).map(group).collect(), dispatch: vec![Lanes::default(); generators] }
    }

    /// Clears every market once.
    pub fn clear_all(&mut self, simd: Simd) {
        simd.run(ClearAll(self));
    }
}

struct ClearAll<'a>(&'a mut EightMarkets);

impl Work for ClearAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let EightMarkets { groups, dispatch } = self.0;
        let (floor, cap) = (simd.splat(NO_BOUNDS.0), simd.splat(NO_BOUNDS.1));
        let rules = Prices { simd, rules: RULES, floor, cap };
        for Group { prices, quantities, demand } in groups {
            let cleared = lanes::clear(simd, &rules, Offers { prices, quantities }, simd.load(demand), dispatch);
            black_box((simd.array(cleared.price), simd.array(cleared.unserved), &*dispatch));
        }
    }
}
