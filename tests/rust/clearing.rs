//! The clearing against a reference that is slow and plain, on offers full of ties, kinks and zeros.

use proptest::prelude::*;
use vecmarket::market::{Outcome, Scratch, clear};
use vecmarket::scenario::Rules;
use vecmarket::spec::{Kink, Pricing, Scarcity, TieBreak};

pub const NO_BOUNDS: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
pub const RULES: Rules =
    Rules { pricing: Pricing::Uniform, kink: Kink::Lower, scarcity: Scarcity::LastOffer, tie_break: TieBreak::ProRata };

pub fn run(rules: Rules, prices: &[f64], quantities: &[f64], demand: f64) -> (Outcome, Vec<f64>) {
    let mut scratch = Scratch::default();
    scratch.ties = words(prices.len());
    let mut dispatch = vec![f64::NAN; prices.len()];
    let outcome = clear(rules, NO_BOUNDS, prices, quantities, demand, &mut scratch, &mut dispatch);
    (outcome, dispatch)
}

/// Words that differ, so that a random order is not the order of places.
fn words(offers: usize) -> Vec<u32> {
    (0..offers as u32).map(|i| i.wrapping_mul(0x9E37_79B9)).collect()
}

#[test]
fn four_units_on_paper() {
    let (prices, quantities) = ([10.0, 20.0, 30.0, 40.0], [50.0; 4]);
    let (outcome, dispatch) = run(RULES, &prices, &quantities, 120.0);
    assert_eq!(outcome, Outcome { price: 30.0, unserved: 0.0, curtailed: 0.0, marginal: Some(2) });
    assert_eq!(dispatch, [50.0, 50.0, 20.0, 0.0]);
    for (kink, price) in [(Kink::Lower, 20.0), (Kink::Upper, 30.0), (Kink::Mid, 25.0)] {
        assert_eq!(run(Rules { kink, ..RULES }, &prices, &quantities, 100.0).0.price, price);
    }
    let (outcome, dispatch) = run(RULES, &prices, &quantities, 230.0);
    assert_eq!(outcome, Outcome { price: 40.0, unserved: 30.0, curtailed: 0.0, marginal: Some(3) });
    assert_eq!(dispatch, quantities);
}

#[test]
fn no_demand_and_no_offers() {
    let (outcome, dispatch) = run(RULES, &[5.0], &[10.0], -3.0);
    assert_eq!(outcome, Outcome { price: 0.0, unserved: 0.0, curtailed: 3.0, marginal: None });
    assert_eq!(dispatch, [0.0]);
    let (outcome, _) = run(RULES, &[5.0, 7.0], &[0.0, 0.0], 3.0);
    assert_eq!(outcome, Outcome { price: 0.0, unserved: 3.0, curtailed: 0.0, marginal: None });
}

#[test]
fn equal_offers_share_or_queue() {
    let (prices, quantities) = ([20.0, 10.0, 20.0, 20.0], [30.0, 40.0, 10.0, 20.0]);
    assert_eq!(run(RULES, &prices, &quantities, 70.0).1, [15.0, 40.0, 5.0, 10.0]);
    let index = Rules { tie_break: TieBreak::Index, ..RULES };
    assert_eq!(run(index, &prices, &quantities, 75.0).1, [30.0, 40.0, 5.0, 0.0]);
    // The words of `run` order the places 0, 2, 3 as 0, 3 * k, 2 * k modulo 2^32.
    let random = Rules { tie_break: TieBreak::Random, ..RULES };
    let (_, dispatch) = run(random, &prices, &quantities, 75.0);
    assert_eq!(dispatch[1], 40.0);
    assert_eq!(dispatch.iter().sum::<f64>(), 75.0);
    assert_eq!(dispatch.iter().zip(&quantities).filter(|(x, q)| **x > 0.0 && x < q).count(), 1);
}

proptest! {
    /// Small integers make ties, kinks, zero quantities and shortages common.
    #[test]
    fn agrees_with_the_definition(
        offers in prop::collection::vec((-3i32..8, 0i32..6), 0..40),
        demand in -5i32..90,
        tie_break in prop::sample::select(TieBreak::ALL),
    ) {
        let prices: Vec<f64> = offers.iter().map(|(p, _)| f64::from(*p)).collect();
        let quantities: Vec<f64> = offers.iter().map(|(_, q)| f64::from(*q)).collect();
        let demand = f64::from(demand);
        let (outcome, dispatch) = run(Rules { tie_break, ..RULES }, &prices, &quantities, demand);

        let supply: f64 = quantities.iter().sum();
        let served = demand.max(0.0).min(supply);
        prop_assert!((dispatch.iter().sum::<f64>() - served).abs() <= 1e-9 * demand.abs().max(1.0));
        for (x, q) in dispatch.iter().zip(&quantities) {
            prop_assert!(*x >= 0.0 && x <= q);
        }
        prop_assert_eq!(outcome.unserved, (demand - supply).max(0.0));
        prop_assert_eq!(outcome.curtailed, (-demand).max(0.0));
        if demand > 0.0 && supply > 0.0 {
            // The price is the lowest at which offers up to it reach demand, or the dearest offer in shortage.
            let up_to = |p: f64| -> f64 {
                prices.iter().zip(&quantities).filter(|(b, _)| **b <= p).map(|(_, q)| q).sum()
            };
            let mut live: Vec<f64> =
                prices.iter().zip(&quantities).filter(|(_, q)| **q > 0.0).map(|(p, _)| *p).collect();
            live.sort_by(f64::total_cmp);
            let expected = live.iter().copied().find(|&p| up_to(p) >= demand).unwrap_or(live[live.len() - 1]);
            prop_assert_eq!(outcome.price, expected);
            prop_assert_eq!(outcome.marginal.map(|unit| prices[unit]), Some(expected));
            for (i, x) in dispatch.iter().enumerate() {
                if prices[i] < expected {
                    prop_assert_eq!(*x, quantities[i]);
                } else if prices[i] > expected {
                    prop_assert_eq!(*x, 0.0);
                }
            }
        } else {
            prop_assert_eq!(outcome.marginal, None);
        }
    }
}

/// The market as `docs/market.md` has it, by a plain sort: what one market comes to has to be the same to the bit.
fn by_sorting(rules: Rules, prices: &[f64], quantities: &[f64], demand: f64) -> (Outcome, Vec<f64>) {
    let word = |unit: usize| if rules.tie_break == TieBreak::Random { words(prices.len())[unit] } else { 0 };
    let mut order: Vec<usize> = (0..prices.len()).filter(|unit| quantities[*unit] > 0.0).collect();
    order.sort_by(|a, b| prices[*a].partial_cmp(&prices[*b]).unwrap().then(word(*a).cmp(&word(*b))).then(a.cmp(b)));
    let mut dispatch = vec![0.0; prices.len()];
    let mut supply = 0.0;
    for &unit in &order {
        let before = supply;
        supply += quantities[unit];
        dispatch[unit] = quantities[unit];
        if supply < demand - 1e-9 * demand.max(1.0) {
            continue;
        }
        dispatch[unit] = (demand - before).min(quantities[unit]);
        let tied: Vec<usize> = order.iter().copied().filter(|other| prices[*other] == prices[unit]).collect();
        if rules.tie_break == TieBreak::ProRata && tied.len() > 1 {
            let cheaper = order.iter().filter(|other| prices[**other] < prices[unit]);
            let cheaper = cheaper.fold(0.0, |sum, other| sum + quantities[*other]);
            let share = ((demand - cheaper) / tied.iter().fold(0.0, |sum, other| sum + quantities[*other])).min(1.0);
            tied.iter().for_each(|other| dispatch[*other] = share * quantities[*other]);
        }
        return (Outcome { price: prices[unit], unserved: 0.0, curtailed: 0.0, marginal: Some(unit) }, dispatch);
    }
    let dearest = order.last().copied();
    let price = dearest.map_or(0.0, |unit| prices[unit]);
    (Outcome { price, unserved: demand - supply, curtailed: 0.0, marginal: dearest }, dispatch)
}

proptest! {
    /// Prices that differ in their last bits only, or not at all, in markets of every size that is sorted in its own way.
    #[test]
    fn neighbouring_prices_stand_in_their_order(
        (offers, part) in (prop::sample::select(vec![1usize, 7, 8, 9, 16, 17, 32, 33, 100, 128, 129, 300]), 0.0f64..1.2)
            .prop_flat_map(|(most, part)| (prop::collection::vec((0u64..6, 0.0f64..10.0, 0u8..6), 1..=most), Just(part))),
        base in prop::sample::select(vec![-1e15f64, -40.0, -1e-300, -0.0, 0.0, 1e-320, 0.1, 30.0, 1e15 / 2.0]),
        distance in prop::sample::select(vec![1u64, 1 << 20, 1 << 40, 1 << 46]),
        tie_break in prop::sample::select(TieBreak::ALL),
    ) {
        let prices: Vec<f64> = offers.iter().map(|(steps, ..)| f64::from_bits(base.to_bits() + steps * distance)).collect();
        let quantities: Vec<f64> = offers.iter().map(|(_, q, empty)| if *empty == 0 { 0.0 } else { *q }).collect();
        let demand = (part * quantities.iter().sum::<f64>()).max(0.01);
        let rules = Rules { tie_break, ..RULES };
        prop_assert_eq!(run(rules, &prices, &quantities, demand), by_sorting(rules, &prices, &quantities, demand));
    }
}
