//! A warm step does not allocate: counted, on one thread.

mod game;

use std::sync::Arc;

use game::{Game, actions, policy, spec};
use vecmarket::seats::{Mixture, Player, Seat, Seats};
use vecmarket::shard::{Cells, Head};
use vecmarket::simd::{LANES, Lanes};
use vecmarket::spec::{Number, Spec, TieBreak};
use vecmarket::step::Autoreset;

const AGENTS: usize = 6;

fn fleet(tie_break: TieBreak, drawn: bool) -> Spec {
    let mut spec = spec(AGENTS);
    spec.rules.tie_break = tie_break;
    if !drawn {
        spec.generators[0].capacity_mw = Number::Fixed(30.0);
    }
    spec
}

fn allocations(mut game: Game) -> u64 {
    game.reset();
    let given: Vec<Vec<f32>> = (0..12).map(|t| actions(game.batch.layout(), t)).collect();
    let mut play = || {
        for actions in &given {
            game.step(actions, Autoreset::SameStep).expect("a legal step");
        }
    };
    // Scratch grows to its size in the first episode; resets are among the steps that are counted.
    play();
    allocation_counter::measure(play).count_total
}

#[test]
fn a_warm_step_does_not_allocate() {
    for tie_break in TieBreak::ALL {
        for drawn in [false, true] {
            let game = Game::new(fleet(*tie_break, drawn), 70, 1, 1);
            assert_eq!(allocations(game), 0, "{} {drawn}", tie_break.name());
        }
    }
}

#[test]
fn nor_does_one_with_policies() {
    let player = |seed, hidden: &[usize]| Player::Policy(policy(AGENTS, seed, hidden, seed % 2 == 1));
    let players = vec![player(1, &[64, 64]), Player::Markup(3.0), player(2, &[9]), player(3, &[64, 64])];
    let pool = Seat::Mixed(Arc::new(Mixture::new("pool", players, None).expect("a legal pool")));
    let one = Seat::Mixed(Arc::new(Mixture::only(policy(AGENTS, 4, &[30, 20], false))));
    let seats = vec![Seat::Acts, pool.clone(), one.clone(), Seat::Truthful, one, pool];
    let seats = Seats::new(seats, AGENTS).expect("legal seats");
    let game = Game::seated(fleet(TieBreak::Index, true), 70, 1, 1, seats);
    assert_eq!(allocations(game), 0);
}

/// What outlives a step, buffers and working memory aside.
#[test]
fn the_state_of_an_environment_is_small() {
    assert!(size_of::<Head>() <= 64 * LANES, "{} bytes", size_of::<Head>());
    let cells_of_an_agent = Cells::COUNT * size_of::<Lanes>();
    assert!(cells_of_an_agent <= 24 * LANES, "{cells_of_an_agent} bytes");
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(vec![1u8]))).count_total, 1);
}
