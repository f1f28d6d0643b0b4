//! Eight markets at once, and any number in rows, against one market at a time.

use proptest::prelude::*;
use vecmarket::market::batch::{Markets, Outcomes};
use vecmarket::market::lanes::{self, Offers};
use vecmarket::market::pricing::Prices;
use vecmarket::market::{Scratch, clear};
use vecmarket::rng::{Kind, Streams, tie_words};
use vecmarket::scenario::Rules;
use vecmarket::simd::{LANES, Lanes, Level, Simd, Vector, Work};
use vecmarket::spec::{Kink, Pricing, Scarcity, TieBreak};

use crate::clearing::{NO_BOUNDS, RULES, run};

/// The arguments of one call of the lanes' kernel, run at any level.
struct EightMarkets<'a> {
    rules: Rules,
    offers: Offers<'a>,
    demand: Lanes,
    dispatch: &'a mut [Lanes],
}

/// What eight markets came to.
#[derive(Debug, Clone, PartialEq)]
struct Eight {
    price: Lanes,
    unserved: Lanes,
    ties: Lanes,
    marginal: Lanes,
    dispatch: Vec<Lanes>,
}

impl Work for EightMarkets<'_> {
    type Output = Eight;

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> Eight {
        let (floor, cap) = (simd.splat(NO_BOUNDS.0), simd.splat(NO_BOUNDS.1));
        let prices = Prices { simd, rules: self.rules, floor, cap };
        let cleared = lanes::clear(simd, &prices, self.offers, simd.load(&self.demand), self.dispatch);
        Eight {
            price: Lanes(simd.array(cleared.price)),
            unserved: Lanes(simd.array(cleared.unserved)),
            ties: Lanes(simd.array(cleared.ties)),
            marginal: Lanes(simd.array(lanes::marginal(simd, self.offers, &cleared))),
            dispatch: self.dispatch.to_vec(),
        }
    }
}

/// Eight markets at the first level; fails where another level that this processor has differs by a bit.
fn at_every_level(rules: Rules, markets: &[Market; LANES]) -> Eight {
    let lanes_of = |number: fn(&Market, usize) -> f64, i: usize| Lanes(std::array::from_fn(|l| number(&markets[l], i)));
    let offers = markets[0].prices.len();
    let prices: Vec<Lanes> = (0..offers).map(|i| lanes_of(|market, i| market.prices[i], i)).collect();
    let quantities: Vec<Lanes> = (0..offers).map(|i| lanes_of(|market, i| market.quantities[i], i)).collect();
    let demand = lanes_of(|market, _| market.demand, 0);
    let mut levels = Level::ALL.iter().filter_map(|level| Simd::of(*level)).map(|simd| {
        let mut dispatch = vec![Lanes::splat(f64::NAN); offers];
        let offers = Offers { prices: &prices, quantities: &quantities };
        (simd.level().name(), simd.run(EightMarkets { rules, offers, demand, dispatch: &mut dispatch }))
    });
    let (_, first) = levels.next().expect("a level");
    for (level, other) in levels {
        assert_eq!(first, other, "{level} differs");
    }
    first
}

/// One market of a lane.
#[derive(Debug, Clone, PartialEq)]
struct Market {
    prices: Vec<f64>,
    quantities: Vec<f64>,
    demand: f64,
}

/// Whether rounding alone may decide at which unit demand is reached: the kernels sum in different orders.
fn is_on_edge(Market { prices, quantities, demand }: &Market) -> bool {
    let mut order: Vec<usize> = (0..prices.len()).collect();
    order.sort_by(|a, b| prices[*a].partial_cmp(&prices[*b]).unwrap());
    let tolerance = 1e-9 * demand.abs().max(1.0);
    let mut supply = 0.0;
    order.iter().any(|unit| {
        supply += quantities[*unit];
        [demand - tolerance, demand + tolerance].iter().any(|edge| (supply - edge).abs() <= 1e-13 * demand.abs())
    })
}

/// Lane `l` of `eight` against the same market by itself.
fn compare(rules: Rules, market: &Market, eight: &Eight, l: usize) {
    let Market { prices, quantities, demand } = market;
    let (outcome, expected) = run(rules, prices, quantities, *demand);
    assert_eq!(eight.price[l], outcome.price);
    assert_eq!(eight.marginal[l], outcome.marginal.map_or(-1.0, |unit| unit as f64));
    let near = |x: f64, y: f64| (x - y).abs() <= 1e-13 * demand.abs();
    assert!(near(eight.unserved[l], outcome.unserved), "{} {}", eight.unserved[l], outcome.unserved);
    for (i, (x, y)) in eight.dispatch.iter().zip(&expected).enumerate() {
        assert!(near(x[l], *y), "lane {l}, offer {i}: {} {y}", x[l]);
        assert!((0.0..=quantities[i]).contains(&x[l]), "lane {l}, offer {i}: {} of {}", x[l], quantities[i]);
    }
    let runs =
        (0..prices.len()).filter(|i| quantities[*i] > 0.0 && Some(prices[*i]) == outcome.marginal.map(|m| prices[m]));
    assert_eq!(eight.ties[l], if outcome.unserved > 0.0 { 0.0 } else { runs.count() as f64 });
}

/// Eight markets at once, at every level, against one at a time; and each of them against the same beside others.
fn check_lanes(rules: Rules, markets: &[Market; LANES]) {
    let eight = at_every_level(rules, markets);
    for (l, market) in markets.iter().enumerate().filter(|(_, market)| !is_on_edge(market)) {
        compare(rules, market, &eight, l);
    }
    for (l, market) in markets.iter().enumerate() {
        let alone = at_every_level(rules, &std::array::from_fn(|_| market.clone()));
        assert_eq!(alone.price[l].to_bits(), eight.price[l].to_bits());
        assert_eq!(alone.unserved[l].to_bits(), eight.unserved[l].to_bits());
        assert_eq!(alone.marginal[l], eight.marginal[l]);
        for (x, y) in alone.dispatch.iter().zip(&eight.dispatch) {
            assert_eq!(x[l].to_bits(), y[l].to_bits(), "what lane {l} comes to depends on its neighbours");
        }
    }
}

/// Prices of every kind: all equal, in the last bits, in decades, in clusters, or many ties.
fn any_price() -> impl Strategy<Value = BoxedStrategy<f64>> {
    let last_bits =
        |base: f64, most: u64| (0..most).prop_map(move |steps| f64::from_bits(base.to_bits() + steps)).boxed();
    prop_oneof![
        Just((-3i32..8).prop_map(f64::from).boxed()),
        (-9.0f64..9.0).prop_map(|price| Just(price).boxed()),
        prop::sample::select(vec![-40.0f64, 0.1, 30.0, 1e15 / 2.0]).prop_map(move |base| last_bits(base, 6)),
        prop::sample::select(vec![-40.0f64, 0.1, 30.0, 1e15 / 2.0]).prop_map(move |base| last_bits(base, 1 << 12)),
        Just(
            (-300i32..15, prop::bool::ANY)
                .prop_map(|(e, minus)| 10f64.powi(e) * if minus { -1.0 } else { 1.0 })
                .boxed()
        ),
        Just(prop_oneof![Just(1e12), Just(-1e12), 0.001f64..0.002].boxed()),
        Just(prop_oneof![20.0f64..90.0, Just(50.0), Just(-0.0), Just(0.0)].boxed()),
        Just((20.0f64..90.0).boxed()),
    ]
}

/// Quantities of every kind, a good part of them zero.
fn any_quantity() -> impl Strategy<Value = BoxedStrategy<f64>> {
    prop_oneof![
        Just((0i32..6).prop_map(f64::from).boxed()),
        Just(prop_oneof![Just(0.0), 0.0f64..10.0].boxed()),
        Just((0.1f64..100.0).boxed()),
        Just(prop_oneof![Just(0.0), Just(1e-320), Just(1e-12), Just(0.001), Just(1e9)].boxed()),
        Just(Just(0.0).boxed()),
    ]
}

/// Demand of every kind: a part of what is offered, a kink, nearly nothing, nothing, less.
fn demand_of(prices: &[f64], quantities: &[f64], kind: u8, part: f64) -> f64 {
    let total: f64 = quantities.iter().sum();
    let pivot = prices[(part.abs() * prices.len() as f64) as usize % prices.len()];
    let kink: f64 = prices.iter().zip(quantities).filter(|(b, _)| **b <= pivot).map(|(_, q)| q).sum();
    match kind {
        0 => 0.0,
        1 => -1.5 * part,
        2 => 1e-10 * part,
        3 => kink,
        4 => kink * (1.0 + 4e-10 * part),
        5 => total + 1.0,
        _ => part * total,
    }
}

fn any_market(offers: usize) -> impl Strategy<Value = Market> {
    let vectors =
        move |(price, quantity)| (prop::collection::vec(price, offers), prop::collection::vec(quantity, offers));
    ((any_price(), any_quantity()).prop_flat_map(vectors), 0u8..12, 0.0f64..1.1).prop_map(
        |((prices, quantities), kind, part)| {
            let demand = demand_of(&prices, &quantities, kind, part);
            Market { prices, quantities, demand }
        },
    )
}

fn eight_markets(offers: impl Strategy<Value = usize>) -> impl Strategy<Value = [Market; LANES]> {
    offers.prop_flat_map(|offers| prop::array::uniform8(any_market(offers)))
}

proptest! {
    #[test]
    fn lanes_agree_with_the_merit_order(
        markets in eight_markets(1usize..=200),
        kink in prop::sample::select(Kink::ALL),
        pricing in prop::sample::select(Pricing::ALL),
    ) {
        check_lanes(Rules { kink, pricing, ..RULES }, &markets);
    }

    /// Up to so many offers all are tried against all; around there, and where the last pass of four is not full.
    #[test]
    fn lanes_agree_where_the_kernel_changes(
        markets in eight_markets(prop::sample::select(vec![1usize, 2, 3, 4, 5, 7, 16, 17, 23, 24, 25, 26, 31, 33])),
        kink in prop::sample::select(Kink::ALL),
    ) {
        check_lanes(Rules { kink, ..RULES }, &markets);
    }
}

/// Thousands of offers at one price, or at prices that differ in the last bits only, beside a market of another kind.
#[test]
fn thousands_of_offers_in_one_bracket() {
    const OFFERS: usize = 3000;
    for distinct in [1u64, 2, 3, 40, 4000] {
        let markets = std::array::from_fn(|l| {
            let price = |i: usize| f64::from_bits(30f64.to_bits() + (i as u64).wrapping_mul(2_654_435_761) % distinct);
            let mut prices: Vec<f64> = (0..OFFERS).map(price).collect();
            if l == 7 {
                prices = (0..OFFERS).map(|i| i as f64).collect();
            } else if l % 2 == 1 {
                prices[5] = 1e12;
                prices[6] = 1e-3;
            }
            let quantities = (0..OFFERS).map(|i| if i % 7 == l { 0.0 } else { 1.0 + 0.1 * (i % 13) as f64 }).collect();
            Market { prices, quantities, demand: 500.0 * (l + 1) as f64 }
        });
        check_lanes(RULES, &markets);
    }
}

proptest! {
    /// Any number of rows, as `vm.clear` takes them, against one market at a time.
    #[test]
    fn a_batch_agrees_with_its_markets(
        markets in (1usize..40).prop_flat_map(|offers| prop::collection::vec(any_market(offers), 0..30)),
        tie_break in prop::sample::select(TieBreak::ALL),
        scarcity in prop::sample::select(vec![Scarcity::LastOffer, Scarcity::Cap]),
        kink in prop::sample::select(Kink::ALL),
        seed in any::<u64>(),
    ) {
        let rules = Rules { tie_break, scarcity, kink, ..RULES };
        let whole = Batch::clear(rules, seed, &markets, usize::MAX);
        for (row, market) in markets.iter().enumerate().filter(|(_, market)| !is_on_edge(market)) {
            whole.compare(row, market, rules, seed);
        }
        prop_assert_eq!(&whole, &Batch::clear(rules, seed, &markets, 1), "pieces change the outcome");
        let part = markets.len() / 2;
        let first = Batch::clear(rules, seed, &markets[..part], usize::MAX);
        prop_assert_eq!(&whole.price[..part], &first.price[..], "further rows change the outcome");
        prop_assert_eq!(&whole.dispatch[..first.dispatch.len()], &first.dispatch[..], "further rows change the outcome");
    }
}

const BOUNDS: (f64, f64) = (-1e15, 1e15);

/// The outcome of any number of markets.
#[derive(Debug, PartialEq)]
struct Batch {
    price: Vec<f64>,
    dispatch: Vec<f64>,
    unserved: Vec<f64>,
    curtailed: Vec<f64>,
    marginal: Vec<i64>,
}

impl Batch {
    fn clear(rules: Rules, seed: u64, markets: &[Market], piece: usize) -> Self {
        let rows = markets.len();
        let offers = markets.first().map_or(1, |market| market.prices.len());
        let prices: Vec<f64> = markets.iter().flat_map(|market| market.prices.clone()).collect();
        let quantities: Vec<f64> = markets.iter().flat_map(|market| market.quantities.clone()).collect();
        let demand: Vec<f64> = markets.iter().map(|market| market.demand).collect();
        let given =
            Markets { rules, bounds: BOUNDS, seed, offers, prices: &prices, quantities: &quantities, demand: &demand };
        let nan = vec![f64::NAN; rows];
        let mut all = Self {
            price: nan.clone(),
            dispatch: vec![f64::NAN; rows * offers],
            unserved: nan.clone(),
            curtailed: nan,
            marginal: vec![-2; rows],
        };
        let outcomes = Outcomes {
            price: &mut all.price,
            dispatch: &mut all.dispatch,
            unserved: &mut all.unserved,
            curtailed: &mut all.curtailed,
            marginal: &mut all.marginal,
        };
        assert!(given.spread(Simd::get().expect("a level"), 0, outcomes, piece));
        all
    }

    fn compare(&self, row: usize, Market { prices, quantities, demand }: &Market, rules: Rules, seed: u64) {
        let offers = prices.len();
        let mut scratch = Scratch::default();
        tie_words(&mut scratch.ties, offers, |block| Streams::new(seed, 0).words(row as u32, Kind::Ties, block));
        let mut dispatch = vec![f64::NAN; offers];
        let outcome = clear(rules, BOUNDS, prices, quantities, *demand, &mut scratch, &mut dispatch);
        assert_eq!(self.price[row], outcome.price);
        assert_eq!(self.marginal[row], outcome.marginal.map_or(-1, |unit| unit as i64));
        assert_eq!(self.curtailed[row].to_bits(), outcome.curtailed.to_bits());
        assert!((self.unserved[row] - outcome.unserved).abs() <= 1e-13 * demand.abs());
        for (x, y) in self.dispatch[row * offers..].iter().zip(&dispatch) {
            assert!((x - y).abs() <= 1e-13 * demand.abs() && x.is_sign_positive(), "{x} {y}");
        }
    }
}

#[test]
fn a_number_that_no_market_can_use_is_found_in_every_place() {
    let simd = Simd::get().expect("a level");
    for (rows, offers) in [(1, 1), (3, 2), (8, 3), (9, 4), (17, 5), (16, 9)] {
        for place in 0..rows * offers {
            for bad in [f64::NAN, f64::INFINITY, -2e15, 2e15] {
                let mut given = [vec![20.0; rows * offers], vec![1.0; rows * offers], vec![1.0; rows]];
                let demand = place % 3 == 2;
                given[place % 3][if demand { place / offers } else { place }] = bad;
                let [prices, quantities, demand] = &given;
                let mut written = vec![0.0; 3 * rows + rows * offers];
                let (price, rest) = written.split_at_mut(rows);
                let (unserved, rest) = rest.split_at_mut(rows);
                let (curtailed, dispatch) = rest.split_at_mut(rows);
                let outcomes = Outcomes { price, dispatch, unserved, curtailed, marginal: &mut vec![0; rows] };
                let markets = Markets { rules: RULES, bounds: NO_BOUNDS, seed: 0, offers, prices, quantities, demand };
                assert!(!markets.clear(simd, 0, outcomes), "{bad} at {place} of ({rows}, {offers})");
            }
        }
    }
}
