//! A warm step does not allocate: counted, on one thread.

mod game;

use game::{Game, actions, spec};
use vecmarket::shard::{Cells, Head};
use vecmarket::simd::{LANES, Lanes};
use vecmarket::spec::{Number, TieBreak};
use vecmarket::step::Autoreset;

fn allocations(tie_break: TieBreak, drawn: bool) -> u64 {
    let mut spec = spec(6);
    spec.rules.tie_break = tie_break;
    if !drawn {
        spec.generators[0].capacity_mw = Number::Fixed(30.0);
    }
    let mut game = Game::new(spec, 70, 1, 1);
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
            assert_eq!(allocations(*tie_break, drawn), 0, "{} {drawn}", tie_break.name());
        }
    }
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
