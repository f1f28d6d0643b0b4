//! One thread pool per engine, made when it is first needed.

use std::sync::OnceLock;

use crate::error::{Error, Result};

const MOST_THREADS: i64 = 1024;

/// A lazily made pool. Its threads do not survive a fork, so a child process gets an error instead of a hang.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    started: OnceLock<Started>,
}

#[derive(Debug)]
struct Started {
    process: u32,
    pool: rayon::ThreadPool,
}

impl Pool {
    /// A pool of so many threads; 0 takes one per core, 1 works inline and never starts a thread.
    pub fn new(threads: i64) -> Result<Self> {
        if !(0..=MOST_THREADS).contains(&threads) {
            return Err(Error::value(
                "threads",
                format!("must be in 0..{MOST_THREADS} (0 = all cores), got {threads}"),
            ));
        }
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n as usize,
        };
        Ok(Self { threads, started: OnceLock::new() })
    }

    /// Threads that work in parallel.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a job on the pool; `rayon::join` inside it spreads the work.
    pub fn run<R: Send>(&self, job: impl FnOnce() -> R + Send) -> Result<R> {
        let started = match self.started.get() {
            Some(started) => started,
            None => {
                let started = self.start()?;
                self.started.get_or_init(|| started)
            }
        };
        if started.process != std::process::id() {
            return Err(Error::Runtime(
                "engine: its threads did not survive the fork of this process; build a new engine in the child, \
                 or use threads=1, or start processes by \"spawn\" or \"forkserver\""
                    .into(),
            ));
        }
        Ok(started.pool.install(job))
    }

    fn start(&self) -> Result<Started> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|i| format!("vecmarket-{i}"))
            .build()
            .map_err(|e| Error::Runtime(format!("engine: cannot start {} threads: {e}", self.threads)))?;
        Ok(Started { process: std::process::id(), pool })
    }
}
