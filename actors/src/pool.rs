//! Threads for heavy, pure jobs, so that no actor's thread ever pairs curves.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use maftia_core::crypto::{Answer, Job, Keys};

type Work = Box<dyn FnOnce() + Send>;

/// A pool of threads, shared by all parties of a process. The protocols bound what waits: each has a
/// bounded number of jobs outstanding.
#[derive(Clone)]
pub struct Pool(Arc<Mutex<mpsc::Sender<Work>>>);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Default for Pool {
    /// One thread less than there are cores, since parties need one too, and at least one.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(cores.saturating_sub(1).max(1))
    }
}

impl Pool {
    /// A pool of so many threads. They end when the last clone of the pool is gone.
    pub fn new(threads: usize) -> Self {
        let (sender, receiver) = mpsc::channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            let run = move || {
                loop {
                    let work = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(work) = work else { return };
                    work();
                }
            };
            std::thread::Builder::new()
                .name(format!("pool {number}"))
                .spawn(run)
                .expect("a process can start its threads");
        }
        Self(Arc::new(Mutex::new(sender)))
    }

    /// Does a job and hands its answer to `done`, on a thread of the pool. A job that panics has no
    /// answer; `fell` is told instead.
    pub fn compute(
        &self,
        job: Job,
        keys: Keys,
        done: impl FnOnce(Answer) + Send + 'static,
        fell: impl FnOnce() + Send + 'static,
    ) {
        let work = move || match catch_unwind(AssertUnwindSafe(|| job.perform(&keys))) {
            Ok(answer) => done(answer),
            Err(_) => fell(),
        };
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.send(Box::new(work)).expect("the threads outlive the pool's handles");
    }
}
