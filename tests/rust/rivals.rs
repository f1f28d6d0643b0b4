//! Rivals that the engine plays: the same as if the caller played them, and dependent on nothing but the keys.

use std::sync::Arc;

use vecmarket::action::{ACTION_WIDTH, Action};
use vecmarket::batch::Layout;
use vecmarket::bidding::Bids;
use vecmarket::nn::{Activation, Shape};
use vecmarket::policy::{Act, Policy};
use vecmarket::rng::{Kind, Streams};
use vecmarket::seats::{Mixture, Player, Seat, Seats};
use vecmarket::simd::{Level, Simd};
use vecmarket::snapshot::LastStep;
use vecmarket::step::Autoreset;

use crate::game::{Buffers, Game, actions, frozen, policy, spec};

const AGENTS: usize = 4;

fn mean(inputs: &[f32], policy: &Policy) -> Vec<Action> {
    let rows: Vec<u32> = (0..(inputs.len() / policy.features()) as u32).collect();
    acted(Simd::get().expect("a level"), policy, inputs, &rows, None)
}

fn acted(simd: Simd, policy: &Policy, seen: &[f32], rows: &[u32], noise: Option<&[Action]>) -> Vec<Action> {
    let mut actions = vec![[0.0; ACTION_WIDTH]; seen.len() / policy.features()];
    let tile = &mut policy.tile();
    simd.run(Act { policy, tile, observations: seen, rows, noise, actions: &mut actions, drawn: None });
    actions
}

fn sampled() -> Seat {
    Seat::Mixed(Arc::new(Mixture::only(policy(AGENTS, 1, &[20, 7], true))))
}

fn pool() -> Seat {
    let players = vec![
        Player::Policy(policy(AGENTS, 2, &[33], false)),
        Player::Markup(0.0),
        Player::Policy(policy(AGENTS, 3, &[20, 7], true)),
        Player::Markup(4.0),
    ];
    Seat::Mixed(Arc::new(Mixture::new("pool", players, None).expect("a legal pool")))
}

/// One acts, one is a sampled policy, two draw from a pool each.
fn seats() -> Seats {
    Seats::new(vec![pool(), Seat::Acts, sampled(), pool()], AGENTS).expect("legal seats")
}

fn played(game: &mut Game, steps: usize) -> Vec<Buffers> {
    (0..steps)
        .map(|t| {
            game.step(&actions(game.batch.layout(), t), Autoreset::SameStep).expect("a legal step");
            game.buffers.clone()
        })
        .collect()
}

#[test]
fn levels_that_fuse_give_the_same_bits_and_the_baseline_nearly() {
    let run = |level| {
        let mut game = Game::seated(spec(AGENTS), 200, 3, 1, seats());
        game.batch.set_simd(Simd::of(level)?);
        game.reset();
        Some(played(&mut game, 12))
    };
    let plain = run(Level::Baseline).expect("every processor has it");
    for level in [Level::Avx2, Level::Avx512] {
        let Some(other) = run(level) else { continue };
        let best = run(Level::Avx512).unwrap_or_else(|| other.clone());
        assert!(other == best, "{level:?}");
        for (a, b) in plain.iter().zip(&other) {
            for (a, b) in a.profits.iter().zip(&b.profits) {
                assert!((a - b).abs() < 1e-2, "{level:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn threads_and_shards_do_not_matter() {
    let run = |envs, seed, threads| {
        let mut game = Game::seated(spec(AGENTS), envs, seed, threads, seats());
        game.reset();
        played(&mut game, 12)
    };
    let inline = run(300, 5, 1);
    assert!(run(300, 5, 3) == inline);
    for env in [0, 63, 64, 299] {
        let mut alone = Game::seated(spec(AGENTS), 1, 5 + env as u64, 1, seats());
        alone.reset();
        for (t, all) in inline.iter().enumerate() {
            let given = actions(Layout { envs: 300, ..alone.batch.layout() }, t);
            alone.step(&given[env * ACTION_WIDTH..][..ACTION_WIDTH], Autoreset::SameStep).expect("a legal step");
            assert_eq!(all.prices[env], alone.buffers.prices[0]);
            assert_eq!(all.dispatch[env * AGENTS..][..AGENTS], alone.buffers.dispatch);
            assert_eq!(all.rewards[env], alone.buffers.rewards[0]);
        }
    }
}

#[test]
fn advancing_by_k_is_k_steps() {
    let steps = 11;
    let (mut single, mut many) =
        (Game::seated(spec(AGENTS), 130, 1, 1, seats()), Game::seated(spec(AGENTS), 130, 1, 2, seats()));
    single.reset();
    many.reset();
    let all: Vec<f32> = (0..steps).flat_map(|t| actions(many.batch.layout(), t)).collect();
    let mut buffers = Buffers::new(many.batch.layout(), steps);
    let (out, last) = (buffers.outputs(), many.buffers.outputs());
    many.batch.advance(&all, steps, Autoreset::SameStep, out, last).expect("legal steps");
    assert!(played(&mut single, steps).last() == Some(&many.buffers));
}

/// What the engine plays for an agent is what the caller would play for it, from what that agent sees.
#[test]
fn a_rival_plays_what_its_policy_says() {
    let frozen = policy(AGENTS, 9, &[64, 64], true);
    for autoreset in [Autoreset::NextStep, Autoreset::SameStep] {
        let mixture = Seat::Mixed(Arc::new(Mixture::only(Arc::clone(&frozen))));
        let inside = Seats::new(vec![Seat::Acts, Seat::Truthful, mixture, Seat::Acts], AGENTS).expect("legal seats");
        let outside =
            Seats::new(vec![Seat::Acts, Seat::Truthful, Seat::Acts, Seat::Acts], AGENTS).expect("legal seats");
        let mut ours = Game::seated(spec(AGENTS), 70, 4, 1, inside);
        let mut caller = Game::seated(spec(AGENTS), 70, 4, 1, outside);
        ours.reset();
        caller.reset();
        for t in 0..13 {
            let given = actions(ours.batch.layout(), t);
            let (width, of_three) = (caller.batch.layout().width, &caller.buffers.observations);
            let seen: Vec<f32> = of_three.chunks(3 * width).flat_map(|row| row[width..2 * width].to_vec()).collect();
            let noise: Vec<Action> = (0..70)
                .map(|env| {
                    let (head, lane) = caller.batch.head(env);
                    let streams = Streams::new(head.seed[lane], head.episode[lane]);
                    streams.normals(head.t[lane], Kind::Action, 2).map(|x| x as f32)
                })
                .collect();
            let rows: Vec<u32> = (0..70).collect();
            let chosen = acted(Simd::get().expect("a level"), &frozen, &seen, &rows, Some(&noise));
            let joined: Vec<f32> = given
                .chunks(2 * ACTION_WIDTH)
                .zip(chosen)
                .flat_map(|(two, rival)| [[two[0], two[1]], rival, [two[2], two[3]]].concat())
                .collect();
            ours.step(&given, autoreset).expect("a legal step");
            caller.step(&joined, autoreset).expect("a legal step");
            assert_eq!(ours.buffers.dispatch, caller.buffers.dispatch, "{autoreset:?} {t}");
            assert_eq!(ours.buffers.prices, caller.buffers.prices, "{autoreset:?} {t}");
            assert_eq!(ours.buffers.profits, caller.buffers.profits, "{autoreset:?} {t}");
        }
    }
}

#[test]
fn a_snapshot_goes_on_with_the_same_rivals_and_with_no_others() {
    let (mut game, mut other) =
        (Game::seated(spec(AGENTS), 70, 8, 1, seats()), Game::seated(spec(AGENTS), 70, 99, 1, seats()));
    game.reset();
    other.reset();
    played(&mut game, 7);
    let state = game.batch.snapshot(LastStep::default()).expect("a snapshot");
    // The buffers are not part of this one.
    assert!(other.batch.restore(&state).is_err());
    let last = LastStep {
        rewards: game.buffers.rewards.clone(),
        terminated: game.buffers.terminated.clone(),
        truncated: game.buffers.truncated.clone(),
        prices: game.buffers.prices.clone(),
        demand: game.buffers.demand.clone(),
        unserved: game.buffers.unserved.clone(),
        dispatch: game.buffers.dispatch.clone(),
        profits: game.buffers.profits.clone(),
    };
    let state = game.batch.snapshot(last).expect("a snapshot");
    other.batch.restore(&state).expect("the same rivals");
    for (a, b) in played(&mut game, 8).iter().zip(played(&mut other, 8)) {
        assert_eq!((&a.prices, &a.dispatch, &a.observations), (&b.prices, &b.dispatch, &b.observations));
    }
    let changed = [
        vec![pool(), Seat::Acts, sampled(), sampled()],
        vec![pool(), Seat::Acts, Seat::Mixed(Arc::new(Mixture::only(policy(AGENTS, 7, &[20, 7], true)))), pool()],
        vec![pool(), Seat::Acts, Seat::Mixed(Arc::new(Mixture::only(policy(AGENTS, 1, &[20, 7], false)))), pool()],
    ];
    for seats in changed {
        let mut other = Game::seated(spec(AGENTS), 70, 8, 1, Seats::new(seats, AGENTS).expect("legal seats"));
        let refused = other.batch.restore(&state).expect_err("a refusal").to_string();
        assert!(refused.contains("other seats"), "{refused}");
    }
}

#[test]
fn rows_do_not_depend_on_each_other_or_on_their_order() {
    let policy = policy(AGENTS, 5, &[17], false);
    let features = policy.features();
    let seen: Vec<f32> = (0..101 * features).map(|i| (i as f32 * 0.37).sin()).collect();
    let expected = mean(&seen, &policy);
    let order: Vec<u32> = (0..101).map(|i| i * 40 % 101).collect();
    assert_eq!(acted(Simd::get().expect("a level"), &policy, &seen, &order, None), expected);
    for (row, action) in expected.iter().enumerate() {
        assert_eq!(mean(&seen[row * features..][..features], &policy), [*action]);
    }
}

#[test]
fn what_overflows_counts_as_the_lowest() {
    // Sums of infinities of both signs.
    let shape = Shape { inputs: 9, hidden: vec![], outputs: 2, activation: Activation::Relu };
    let policy = frozen(shape, 5, false);
    assert_eq!(mean(&[f32::MAX; 9], &policy), [[0.0, -10.0]]);
}

#[test]
fn a_mixture_draws_in_proportion_to_its_weights() {
    let of = |weights: Option<Vec<f64>>, players| {
        Mixture::new("pool", vec![Player::Markup(1.0); players], weights).map_err(|e| e.to_string())
    };
    let streams = Streams::new(3, 0);
    let weights = [0.0, 1.0, 0.0, 3.0, 4.0, 0.0];
    let mixture = of(Some(weights.to_vec()), 6).expect("legal");
    let mut counts = [0.0; 6];
    for i in 0..40_000 {
        counts[mixture.pick(streams.uniform(i, Kind::Rival, 0))] += 1.0 / 5000.0;
    }
    for (count, weight) in counts.iter().zip(weights) {
        assert!((count - weight).abs() < 0.1 && (weight > 0.0 || *count == 0.0), "{counts:?}");
    }
    // The ends of the interval.
    assert_eq!((mixture.pick(f64::MIN_POSITIVE), mixture.pick(1.0f64.next_down())), (1, 4));
    assert_eq!(of(None, 4).expect("legal").pick(0.5), 2);
    assert_eq!(of(Some(vec![f64::MAX; 2]), 2).expect("legal").pick(0.6), 1);
    for (weights, players, message) in [
        (None, 0, "pool: members: must name at least one"),
        (Some(vec![1.0]), 2, "pool: weights: must have one entry per member, 2, got 1"),
        (Some(vec![1.0, -1.0]), 2, "pool: weights[1]: must be finite and >= 0, got -1"),
        (Some(vec![f64::NAN]), 1, "pool: weights[0]: must be finite and >= 0, got NaN"),
        (Some(vec![0.0, 0.0]), 2, "pool: weights: must not all be 0"),
    ] {
        assert_eq!(of(weights, players).expect_err("a refusal"), message);
    }
    let infinite = Mixture::new("pool", vec![Player::Markup(f64::INFINITY)], None).expect_err("a refusal");
    assert_eq!(infinite.to_string(), "pool: members[0]: a markup must be finite, got inf");
}

#[test]
fn a_policy_that_sees_something_else_is_refused_and_nothing_changes() {
    let mut game = Game::new(spec(AGENTS), 5, 1, 1);
    game.reset();
    let seat = Seat::Mixed(Arc::new(Mixture::only(policy(AGENTS + 1, 1, &[], false))));
    let seats = Seats::new(vec![Seat::Acts, Seat::Acts, seat, Seat::Truthful], AGENTS).expect("legal seats");
    let refused = game.batch.set_seats(seats).expect_err("a refusal").to_string();
    assert_eq!(refused, "seats[2]: takes 12 features, the environment shows 10");
    assert_eq!(game.batch.layout().acting, AGENTS);
    played(&mut game, 2);
}

#[test]
fn no_players_are_no_bids() {
    let acting = [[0.5, 1.0]; 16];
    let bids = Bids::only(&acting).from_block(1, 1);
    assert_eq!((bids.acting.len(), bids.players.len(), bids.markups.len()), (8, 0, 0));
}

#[test]
fn draws_in_lanes_are_those_of_single_streams() {
    use vecmarket::rng::{normals_lanes, uniform_lanes};
    use vecmarket::simd::{LANES, Vector, Work};
    struct Draw([u64; LANES], [u64; LANES], [u32; LANES]);
    impl Work for Draw {
        type Output = ([f64; LANES], [[f64; LANES]; 2]);
        fn run<V: Vector>(self, simd: V) -> Self::Output {
            let uniform = uniform_lanes(simd, &self.0, &self.1, &self.2, Kind::Rival, 7);
            let normals = normals_lanes(simd, &self.0, &self.1, &self.2, Kind::Action, 7);
            (simd.array(uniform), normals.map(|x| simd.array(x)))
        }
    }
    let seeds = std::array::from_fn(|l| u64::MAX / 3 - l as u64);
    let (episodes, steps) = (std::array::from_fn(|l| 1 << (7 * l)), std::array::from_fn(|l| 900 * l as u32));
    for level in Level::ALL {
        let Some(simd) = Simd::of(*level) else { continue };
        let (uniform, normals) = simd.run(Draw(seeds, episodes, steps));
        for l in 0..LANES {
            let streams = Streams::new(seeds[l], episodes[l]);
            assert_eq!(uniform[l], streams.uniform(steps[l], Kind::Rival, 7));
            assert_eq!([normals[0][l], normals[1][l]], streams.normals(steps[l], Kind::Action, 7));
            assert_eq!(normals[0][l], streams.normal(steps[l], Kind::Action, 7));
        }
    }
}
