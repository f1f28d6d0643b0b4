//! Results depend on nothing but scenario, seed and actions; errors change nothing.

use vecmarket::batch::Resets;
use vecmarket::simd::{Level, Simd};
use vecmarket::snapshot::LastStep;
use vecmarket::spec::TieBreak;
use vecmarket::step::Autoreset;

use crate::game::{Buffers, Game, actions, spec};

fn play(game: &mut Game, steps: usize) -> Vec<Buffers> {
    (0..steps)
        .map(|t| {
            let actions = actions(game.batch.layout(), t);
            game.step(&actions, Autoreset::SameStep).expect("a legal step");
            game.buffers.clone()
        })
        .collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let run = |threads| {
        let mut game = Game::new(spec(40), 700, 3, threads);
        game.reset();
        play(&mut game, 12)
    };
    let inline = run(1);
    for threads in [2, 3, 5] {
        assert!(run(threads) == inline, "{threads} threads");
    }
}

#[test]
fn an_environment_alone_plays_as_in_the_batch() {
    let mut batch = Game::new(spec(5), 130, 10, 1);
    batch.reset();
    let mut alone = Game::new(spec(5), 1, 10 + 129, 1);
    alone.reset();
    for t in 0..12 {
        let all = actions(batch.batch.layout(), t);
        batch.step(&all, Autoreset::NextStep).expect("a legal step");
        alone.step(&all[129 * 10..], Autoreset::NextStep).expect("a legal step");
        assert_eq!(batch.buffers.prices[129], alone.buffers.prices[0]);
        assert_eq!(batch.buffers.dispatch[129 * 5..], alone.buffers.dispatch[..]);
        assert_eq!(batch.buffers.rewards[129 * 5..], alone.buffers.rewards[..]);
        let size = alone.buffers.observations.len();
        assert_eq!(batch.buffers.observations[129 * size..], alone.buffers.observations[..]);
    }
}

#[test]
fn advancing_by_k_is_k_steps() {
    let mut single = Game::new(spec(5), 70, 1, 1);
    single.reset();
    let steps = play(&mut single, 11);
    let mut many = Game::new(spec(5), 70, 1, 2);
    many.reset();
    let layout = many.batch.layout();
    let all: Vec<f32> = (0..11).flat_map(|t| actions(layout, t)).collect();
    let mut buffers = Buffers::new(layout, 11);
    many.batch.advance(&all, 11, Autoreset::SameStep, buffers.outputs()).expect("legal steps");
    let prices: Vec<f64> = steps.iter().flat_map(|step| step.prices.clone()).collect();
    let rewards: Vec<f32> = steps.iter().flat_map(|step| step.rewards.clone()).collect();
    let observations: Vec<f32> = steps.iter().flat_map(|step| step.observations.clone()).collect();
    assert_eq!(buffers.prices, prices);
    assert_eq!(buffers.rewards, rewards);
    assert_eq!(buffers.observations, observations);
}

#[test]
fn a_snapshot_restores_into_another_batch() {
    let mut game = Game::new(spec(5), 70, 1, 1);
    game.reset();
    play(&mut game, 3);
    let Buffers { rewards, terminated, truncated, prices, demand, unserved, dispatch, profits, .. } =
        game.buffers.clone();
    let last = LastStep { rewards, terminated, truncated, prices, demand, unserved, dispatch, profits };
    let bytes = game.batch.snapshot(last.clone()).expect("a snapshot");
    let expected = play(&mut game, 9);

    let mut other = Game::new(spec(5), 70, 99, 2);
    assert_eq!(other.batch.restore(&bytes).expect("a fitting snapshot"), last);
    assert!(play(&mut other, 9).last() == expected.last());

    let mut smaller = Game::new(spec(5), 69, 1, 1);
    let message = smaller.batch.restore(&bytes).expect_err("another size").to_string();
    assert_eq!(message, "state: was taken of 70 environments, this engine has 69");
    let mut another = Game::new(spec(6), 70, 1, 1);
    assert!(another.batch.restore(&bytes).expect_err("another scenario").to_string().contains("another scenario"));
    for i in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[i] ^= 1;
        assert!(other.batch.restore(&damaged).is_err(), "byte {i}");
    }
}

#[test]
fn refused_calls_change_nothing() {
    let mut game = Game::new(spec(5), 70, 1, 1);
    let layout = game.batch.layout();
    let good = actions(layout, 0);
    let message = |result: vecmarket::error::Result<()>| result.expect_err("a refusal").to_string();
    let early = game.step(&good, Autoreset::Disabled);
    assert_eq!(message(early), "environment 0: must be reset before the first step");

    game.reset();
    let before = game.batch.snapshot(LastStep::default()).expect("a snapshot");
    let mut bad = good.clone();
    bad[65 * 10 + 7] = f32::NAN;
    let refused = message(game.step(&bad, Autoreset::Disabled));
    assert!(refused.starts_with("actions: environment 65, agent 3 (G3): must be finite, got NaN"), "{refused}");
    let starts = vec![44; 70];
    let resets = Resets { starts: Some(&starts), ..Resets::default() };
    let refused = message(game.batch.reset(resets, game.buffers.outputs()));
    assert_eq!(refused, "start: must leave room for an episode, 0..43, got 44 for environment 0");
    assert_eq!(game.batch.snapshot(LastStep::default()).expect("a snapshot"), before);

    for t in 0..5 {
        game.step(&actions(layout, t), Autoreset::Disabled).expect("a legal step");
    }
    let before = game.batch.snapshot(LastStep::default()).expect("a snapshot");
    assert_eq!(message(game.step(&good, Autoreset::Disabled)), "environment 0: its episode has ended; reset it first");
    assert_eq!(game.batch.snapshot(LastStep::default()).expect("a snapshot"), before);
}

#[test]
fn vector_instructions_do_not_change_results() {
    let run = |level: Level| {
        let simd = Simd::of(level)?;
        // Ties in proportion, so that the kernel in lanes is the one that runs.
        let mut spec = spec(7);
        spec.rules.tie_break = TieBreak::ProRata;
        let mut game = Game::new(spec, 70, 1, 1);
        game.batch.set_simd(simd);
        game.reset();
        Some(play(&mut game, 12))
    };
    let baseline = run(Level::Baseline);
    assert!(baseline.is_some());
    for level in [Level::Avx2, Level::Avx512] {
        let wider = run(level);
        assert!(wider.is_none() || wider == baseline, "{}", level.name());
    }
}
