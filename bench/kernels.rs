//! Times of the kernels without Python, at every level of vector instructions that the processor has:
//! `cargo bench --bench kernels`, or `make bench-kernels`. One thread; one element is one environment step or one market.
//!
//! Markets differ, and there are too many of them for a branch predictor to learn.

mod lanes;
mod workload;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lanes::EightMarkets;
use vecmarket::policy::Act;
use vecmarket::simd::{Level, Simd};
use workload::{PlainClear, Play, drawn_policy};

const ENVS: usize = 8192;
/// What actions, observations and state of a thousand agents take does not fit the memory otherwise.
const ENVS_OF_A_THOUSAND: usize = 1024;
const MARKETS: usize = 8192;
const ROWS: usize = 4096;

fn levels() -> impl Iterator<Item = (&'static str, Simd)> {
    Level::ALL.iter().filter_map(|level| Some((level.name(), Simd::of(*level)?)))
}

fn steps(criterion: &mut Criterion) {
    for (name, sizes, one_learner) in
        [("step, all act", &[5, 20, 100, 1000][..], false), ("step, one learner", &[5, 32], true)]
    {
        let mut group = criterion.benchmark_group(name);
        for &generators in sizes {
            let envs = if generators < 1000 { ENVS } else { ENVS_OF_A_THOUSAND };
            let mut play = Play::new(generators, envs, one_learner);
            group.throughput(Throughput::Elements(envs as u64));
            for (level, simd) in levels() {
                play.set_simd(simd);
                group.bench_function(BenchmarkId::new(level, generators), |bencher| bencher.iter(|| play.step()));
            }
        }
    }
}

/// Rows of the network 7-64-64-2, a learner's step among rivals that play it, and among truthful ones.
fn policies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy, a row");
    let policy = drawn_policy();
    let mut tile = policy.tile();
    let seen: Vec<f32> = (0..ROWS * policy.features()).map(|i| (i as f32 * 0.618).sin()).collect();
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let mut actions = vec![[0.0; 2]; ROWS];
    group.throughput(Throughput::Elements(ROWS as u64));
    for (level, simd) in levels() {
        group.bench_function(level, |bencher| {
            bencher.iter(|| {
                let (policy, tile) = (&policy, &mut tile);
                let (observations, rows, actions) = (&seen[..], &rows[..], &mut actions[..]);
                simd.run(Act { policy, tile, observations, rows, noise: None, actions, drawn: None });
            });
        });
    }
    drop(group);
    let mut group = criterion.benchmark_group("step, one learner among four policies");
    let mut play = Play::among_policies(5, ENVS);
    group.throughput(Throughput::Elements(ENVS as u64));
    for (level, simd) in levels() {
        play.set_simd(simd);
        group.bench_function(level, |bencher| bencher.iter(|| play.step()));
    }
}

/// The memory of the results asked for while a block computes, and not: what the one `unsafe` is for.
fn asked_ahead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step, results asked for ahead");
    for (generators, envs) in [(5, 65536), (100, ENVS), (100, 256)] {
        let mut play = Play::new(generators, envs, false);
        group.throughput(Throughput::Elements(envs as u64));
        for ask in [false, true] {
            play.ask_ahead(ask);
            let id = BenchmarkId::new(format!("{generators} agents, {ask}"), envs);
            group.bench_function(id, |bencher| bencher.iter(|| play.step()));
        }
    }
}

fn plain_clear(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clear, one market at a time");
    for generators in [5, 20, 100, 1000] {
        let mut clear = PlainClear::new(generators, MARKETS);
        group.throughput(Throughput::Elements(MARKETS as u64));
        group.bench_function(BenchmarkId::from_parameter(generators), |bencher| bencher.iter(|| clear.clear_all()));
    }
}

fn lanes_clear(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clear, eight markets at once");
    for generators in [5, 20, 100, 1000] {
        let mut eights = EightMarkets::new(generators, MARKETS);
        group.throughput(Throughput::Elements(MARKETS as u64));
        for (level, simd) in levels() {
            let id = BenchmarkId::new(level, generators);
            group.bench_function(id, |bencher| bencher.iter(|| eights.clear_all(simd)));
        }
    }
}

criterion_group! {
    name = kernels;
    // Long enough for some hundred passes over the smallest batches; a whole run takes about two minutes.
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = steps, policies, asked_ahead, plain_clear, lanes_clear
}
criterion_main!(kernels);
