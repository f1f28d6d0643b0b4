//! A fixed, seeded piece of work per case, for `bench/instructions.py` to count the instructions of.
//!
//! Named no case, the program lists them. Given one, it does the work of that case inside [`counted`], which is the only
//! function that the counter looks at, and prints how many units of work that was.

mod workload;

use std::hint::black_box;
use std::process::ExitCode;

use workload::{HOURS, PlainClear, Play};

struct Case {
    name: &'static str,
    work: Work,
}

/// Whole shards, and no more of them than the counter gets through in a second or two.
enum Work {
    /// A whole day with its reset, in every environment.
    Step { generators: usize, envs: usize, one_learner: bool },
    /// Markets, one after another.
    Clear { generators: usize, markets: usize },
}

const CASES: [Case; 7] = [
    Case { name: "step G=5", work: Work::Step { generators: 5, envs: 2048, one_learner: false } },
    Case { name: "step G=20", work: Work::Step { generators: 20, envs: 512, one_learner: false } },
    Case { name: "step G=100", work: Work::Step { generators: 100, envs: 128, one_learner: false } },
    Case { name: "step G=1000", work: Work::Step { generators: 1000, envs: 64, one_learner: false } },
    Case { name: "one learner G=5", work: Work::Step { generators: 5, envs: 2048, one_learner: true } },
    Case { name: "clear G=5", work: Work::Clear { generators: 5, markets: 16384 } },
    Case { name: "clear G=100", work: Work::Clear { generators: 100, markets: 2048 } },
];

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own.
    let Some(name) = std::env::args().skip(1).find(|argument| argument != "--bench") else {
        CASES.iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    };
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        eprintln!("unknown case {name:?}; without an argument the cases are listed");
        return ExitCode::FAILURE;
    };
    println!("{}", run(&case.work));
    ExitCode::SUCCESS
}

/// Does the work once to warm up, so that scratch has its size, and once for the counter. Returns the units of work.
fn run(work: &Work) -> usize {
    match *work {
        Work::Step { generators, envs, one_learner } => {
            let mut play = Play::new(generators, envs, one_learner);
            play.step();
            counted(&mut || (0..HOURS).for_each(|_| play.step()));
            HOURS * envs
        }
        Work::Clear { generators, markets } => {
            let mut clear = PlainClear::new(generators, markets);
            clear.clear_all();
            counted(&mut || clear.clear_all());
            markets
        }
    }
}

/// Never inlined and called through a pointer, so that the counter finds it by name in any build.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    black_box(work)();
    // Something has to follow the call, or it becomes a jump and the counter never sees this function return.
    black_box(());
}
