//! Results depend on nothing but scenario, seed and actions; errors change nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Puts the buffers of a later step behind those of others.
fn append(all: &mut Buffers, later: &Buffers) {
    all.observations.extend(&later.observations);
    all.final_observations.extend(&later.final_observations);
    all.rewards.extend(&later.rewards);
    all.terminated.extend(&later.terminated);
    all.truncated.extend(&later.truncated);
    all.prices.extend(&later.prices);
    all.demand.extend(&later.demand);
    all.unserved.extend(&later.unserved);
    all.dispatch.extend(&later.dispatch);
    all.profits.extend(&later.profits);
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
    // A thread that belongs to a pool already waits outside of the batch's; so does one of very many.
    let other = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    assert!(other.install(|| run(3)) == inline);
    for _ in 0..70 {
        std::thread::scope(|scope| assert!(scope.spawn(|| run(2)).join().expect("no panic").last() == inline.last()));
    }
}

#[test]
fn threads_that_take_turns_at_one_batch_give_the_same_bits() {
    let (mut turns, mut alone) = (Game::new(spec(40), 700, 3, 3), Game::new(spec(40), 700, 3, 1));
    turns.reset();
    alone.reset();
    for _ in 0..4 {
        let game = &mut turns;
        let played = std::thread::scope(|scope| scope.spawn(move || play(game, 5)).join().expect("no panic"));
        assert!(played == play(&mut alone, 5));
    }
}

#[test]
fn a_panic_in_a_walk_makes_a_batch_unusable_and_no_other() {
    for threads in [1, 3] {
        let (mut game, mut other) = (Game::new(spec(40), 700, 3, threads), Game::new(spec(40), 700, 3, threads));
        game.reset();
        other.reset();
        // Seeds for the first environments only: the walk ends at the others.
        let seeds = vec![Some(1); 300];
        let resets = Resets { seeds: Some(&seeds), ..Resets::default() };
        let broken = catch_unwind(AssertUnwindSafe(|| game.batch.reset(resets, game.buffers.outputs())));
        assert!(broken.is_err());
        let refused = game.step(&actions(game.batch.layout(), 0), Autoreset::SameStep);
        assert_eq!(refused.expect_err("a refusal").to_string(), "engine: unusable after an internal error");
        play(&mut other, 3);
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
    let play = |envs, steps: usize, autoreset, threads| {
        let (mut single, mut many) = (Game::new(spec(5), envs, 1, 1), Game::new(spec(5), envs, 1, threads));
        single.reset();
        many.reset();
        let layout = many.batch.layout();
        let mut expected = Buffers::new(layout, 0);
        for t in 0..steps {
            single.step(&actions(layout, t), autoreset).expect("a legal step");
            append(&mut expected, &single.buffers);
        }
        let all: Vec<f32> = (0..steps).flat_map(|t| actions(layout, t)).collect();
        let mut buffers = Buffers::new(layout, steps);
        let (out, last) = (buffers.outputs(), many.buffers.outputs());
        many.batch.advance(&all, steps, autoreset, out, last).expect("legal steps");
        assert!(many.buffers == single.buffers, "{envs} {autoreset:?} {threads}");
        // True final observations stand only where an episode ended.
        let size = layout.acting * layout.width;
        for (row, seen) in buffers.final_observations.chunks_mut(size).enumerate() {
            if !(buffers.terminated[row] || buffers.truncated[row]) {
                seen.copy_from_slice(&expected.final_observations[row * size..][..size]);
            }
        }
        assert!(buffers == expected, "{envs} {autoreset:?} {threads}");
        let state = |game: &Game| game.batch.snapshot(LastStep::default()).expect("a snapshot");
        assert!(state(&many) == state(&single));
    };
    for envs in [1, 70, 519] {
        for threads in [1, 2, 3] {
            play(envs, 5, Autoreset::Disabled, threads);
            for autoreset in [Autoreset::NextStep, Autoreset::SameStep] {
                for steps in [1, 11] {
                    play(envs, steps, autoreset, threads);
                }
            }
        }
    }
}

#[test]
fn refused_advances_change_nothing() {
    for threads in [1, 3] {
        let mut game = Game::new(spec(5), 700, 1, threads);
        game.reset();
        let layout = game.batch.layout();
        let before = game.batch.snapshot(LastStep::default()).expect("a snapshot");
        let mut all: Vec<f32> = (0..6).flat_map(|t| actions(layout, t)).collect();
        let mut buffers = Buffers::new(layout, 6);
        let mut advance = |all: &[f32], autoreset| {
            let refused = game.batch.advance(all, 6, autoreset, buffers.outputs(), game.buffers.outputs());
            refused.expect_err("a refusal").to_string()
        };
        let late = "environment 0: its episode ends in 5 steps, before the 6 asked for";
        assert_eq!(advance(&all, Autoreset::Disabled), late);
        for wrong in [(4 * 700 + 650) * 10 + 3, (5 * 700 + 699) * 10] {
            all[wrong] = f32::INFINITY;
        }
        let odd = "actions: environment 650, agent 1 (G1): must be finite, got inf in step 4, part 1 of the action";
        assert_eq!(advance(&all, Autoreset::SameStep), odd);
        assert!(game.batch.snapshot(LastStep::default()).expect("a snapshot") == before);
    }
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
