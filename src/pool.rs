//! Threads that share the work of a call.
//!
//! The calling thread does its share itself. A helper costs one wake-up, about 15 us, and a helper that does not come is
//! not waited for: beside busy threads of others it may take milliseconds to get a core, while the caller already runs.
//! For that the caller has to be one of the pool's threads, and rayon lets a thread be that once in its life. So the
//! pool is the calling thread's, not the engine's; all engines that a thread steps share it. Idle helpers sleep.

use std::cell::{OnceCell, RefCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::vec::IntoIter;

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

const MOST_THREADS: i64 = 1024;
/// Threads of one process that may get a pool of their own. Rayon never frees what it keeps for them, some 3 KB per
/// core, and a program may start a thread per call.
const MOST_CREWS: usize = 64;

static CREWS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Made when this thread first shares work; None where it cannot have one.
    static CREW: OnceCell<Option<Crew>> = const { OnceCell::new() };
}

/// How many threads an engine uses. Threads do not survive a fork, so a child process gets an error instead of a hang.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    /// The process in which work was first shared.
    process: OnceLock<u32>,
    /// For callers that cannot have a crew: they wait while others work.
    outside: OnceLock<ThreadPool>,
}

impl Pool {
    /// So many threads; 0 takes one per core, 1 works inline and never starts a thread.
    pub fn new(threads: i64) -> Result<Self> {
        if !(0..=MOST_THREADS).contains(&threads) {
            return Err(Error::value(
                "threads",
                format!("must be in 0..{MOST_THREADS} (0 = all cores), got {threads}"),
            ));
        }
        let threads = if threads == 0 { cores() } else { threads as usize };
        Ok(Self { threads, process: OnceLock::new(), outside: OnceLock::new() })
    }

    /// Threads that work in parallel.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work` so many times, at once as far as threads are free, and returns when every call has.
    pub fn share(&self, times: usize, work: &(impl Fn() + Sync)) -> Result<()> {
        if times > 1 {
            return self.run(|| spread(times, work));
        }
        work();
        Ok(())
    }

    /// Runs a job in which `rayon::join` spreads the work.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        let process = std::process::id();
        if *self.process.get_or_init(|| process) != process {
            return Err(Error::Runtime(
                "engine: its threads did not survive the fork of this process; build a new engine in the child, \
                 or use threads=1, or start processes by \"spawn\" or \"forkserver\""
                    .into(),
            ));
        }
        let led = CREW.with(|crew| match crew.get_or_init(|| Crew::new(self.threads)) {
            Some(crew) if crew.process == process => crew.start(self.threads).map(|()| true),
            _ => Ok(false),
        })?;
        Ok(if led { job() } else { self.outside()?.install(job) })
    }

    fn outside(&self) -> Result<&ThreadPool> {
        if let Some(pool) = self.outside.get() {
            return Ok(pool);
        }
        let builder = ThreadPoolBuilder::new().num_threads(self.threads).thread_name(name);
        let pool = builder.build().map_err(|e| cannot_start(self.threads, &e))?;
        Ok(self.outside.get_or_init(|| pool))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.process.get().is_some_and(|process| is_forked(*process)) {
            std::mem::forget(self.outside.take());
        }
    }
}

/// Woken helpers wake others in turn. A call that nobody has taken is made by the thread that offered it.
fn spread(times: usize, work: &(impl Fn() + Sync)) {
    if times < 2 {
        work();
    } else {
        rayon::join(|| spread(times - times / 2, work), || spread(times / 2, work));
    }
}

/// The pool of which this thread is one.
struct Crew {
    process: u32,
    /// Held for its end: its helpers end with it.
    pool: Option<ThreadPool>,
    /// Helpers that nobody has asked for yet.
    waiting: RefCell<IntoIter<ThreadBuilder>>,
    size: usize,
}

impl Crew {
    /// Room for a thread per core, none of which is started; None where this thread belongs to another pool, as after a
    /// fork, or enough threads have a crew.
    fn new(threads: usize) -> Option<Self> {
        if CREWS.fetch_add(1, Relaxed) >= MOST_CREWS {
            return None;
        }
        let (size, mut waiting) = (threads.max(cores()), Vec::new());
        let keep = |helper| {
            waiting.push(helper);
            Ok(())
        };
        let pool = ThreadPoolBuilder::new().num_threads(size).use_current_thread().spawn_handler(keep).build().ok()?;
        let waiting = RefCell::new(waiting.into_iter());
        Some(Self { process: std::process::id(), pool: Some(pool), waiting, size })
    }

    /// Starts what is missing of so many threads, as far as there is room.
    fn start(&self, threads: usize) -> Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        while self.size - waiting.len() < threads {
            let Some(helper) = waiting.next() else { break };
            let thread = std::thread::Builder::new().name(name(helper.index()));
            thread.spawn(|| helper.run()).map_err(|e| cannot_start(threads, &e))?;
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if is_forked(self.process) {
            std::mem::forget(self.pool.take());
        }
    }
}

/// Whether this is a child of that process. It leaves a pool of its parent's alone: it would tell threads to end that do
/// not exist, under locks that they may have held.
fn is_forked(process: u32) -> bool {
    std::process::id() != process
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn name(index: usize) -> String {
    format!("vecmarket-{index}")
}

fn cannot_start(threads: usize, error: &dyn std::fmt::Display) -> Error {
    Error::Runtime(format!("engine: cannot start {threads} threads: {error}"))
}
