//! The threads that own the connections, so that no disk is ever waited for on the async runtime.
//! Work that is waiting when a thread gets to it is done in one transaction and answered after it:
//! one fsync serves all of it.

use std::io;
use std::slice;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How many jobs can wait; those who bring more wait for room.
const QUEUE: usize = 1_024;

/// Why a job has no result. Nothing of it was written, unless it says `Unknown`.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Refused(String),
    Unknown(String),
}

/// Which transactions a group of threads runs.
#[derive(Clone, Copy)]
pub(super) struct Duty {
    pub name: &'static str,
    pub behavior: TransactionBehavior,
    /// The most jobs in one transaction.
    pub group: usize,
}

/// Threads with a connection each, and the queue they share. Dropping it finishes what is waiting
/// and closes them.
pub(super) struct Threads {
    queue: mpsc::Sender<Box<dyn Job>>,
    timeout: Duration,
    // Declared after the queue, and so dropped after it: the threads end when the queue is closed
    // and empty.
    _joined: Joined,
}

struct Joined(Vec<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Threads {
    pub fn start(
        connections: Vec<Connection>,
        duty: Duty,
        timeout: Duration,
    ) -> io::Result<Threads> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let spawn = |connection| {
            let jobs = Arc::clone(&jobs);
            Builder::new().name(duty.name.to_owned()).spawn(move || serve(connection, &jobs, duty))
        };
        let threads = connections.into_iter().map(spawn).collect::<io::Result<_>>()?;
        Ok(Threads { queue, timeout, _joined: Joined(threads) })
    }

    /// Runs `work` in a transaction and returns its result once that is durable. `work` can run
    /// twice, the first time in a transaction that is rolled back.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let deadline = Instant::now() + self.timeout;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { work, result: None, reply });
        match timeout_at(deadline, self.queue.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Failure::Refused("the store is closed".to_owned())),
            Err(_) => return Err(Failure::Refused("too much is waiting for the disk".to_owned())),
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Failure::Unknown("the store was closed".to_owned())),
            Err(_) => {
                Err(Failure::Unknown(format!("the disk did not answer within {:?}", self.timeout)))
            }
        }
    }
}

/// Work with a place for its result, which is sent only after the transaction.
struct Call<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

trait Job: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), Failure>);
}

impl<T: Send, F: Fn(&Connection) -> rusqlite::Result<T> + Send> Job for Call<T, F> {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Failure>) {
        let result =
            self.result.ok_or_else(|| Failure::Refused("it was not carried out".to_owned()));
        // Who asked may have gone away meanwhile.
        let _ = self.reply.send(outcome.and(result));
    }
}

/// Where a transaction failed.
enum Failed {
    Begin(rusqlite::Error),
    Work(rusqlite::Error),
    Commit(rusqlite::Error),
}

fn serve(mut connection: Connection, queue: &Mutex<mpsc::Receiver<Box<dyn Job>>>, duty: Duty) {
    while let Some(mut jobs) = take(queue, duty.group) {
        match transact(&mut connection, duty.behavior, &mut jobs) {
            Ok(()) => answer(jobs, &Ok(())),
            Err(Failed::Begin(error)) => answer(jobs, &Err(Failure::Refused(error.to_string()))),
            Err(failed) if jobs.len() == 1 => answer(jobs, &Err(failed.into())),
            Err(_) => serve_alone(&mut connection, duty.behavior, jobs),
        }
    }
}

/// One job, or its size, made the group's transaction fail; no other job is to suffer from it.
fn serve_alone(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    jobs: Vec<Box<dyn Job>>,
) {
    for mut job in jobs {
        let outcome =
            transact(connection, behavior, slice::from_mut(&mut job)).map_err(Failure::from);
        job.answer(outcome);
    }
}

fn answer(jobs: Vec<Box<dyn Job>>, outcome: &Result<(), Failure>) {
    for job in jobs {
        job.answer(outcome.clone());
    }
}

/// The jobs that wait now, at most `most`; where there is none, the next one. Nothing once the
/// queue is closed and empty.
fn take(queue: &Mutex<mpsc::Receiver<Box<dyn Job>>>, most: usize) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = queue.lock();
    let mut jobs = vec![queue.blocking_recv()?];
    while jobs.len() < most
        && let Ok(job) = queue.try_recv()
    {
        jobs.push(job);
    }
    Some(jobs)
}

fn transact(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), Failed> {
    let transaction = connection.transaction_with_behavior(behavior).map_err(Failed::Begin)?;
    for job in jobs {
        job.run(&transaction).map_err(Failed::Work)?;
    }
    transaction.commit().map_err(Failed::Commit)
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        match failed {
            // A write that fails for want of room leaves the last frame out, but after a failed
            // fsync nobody can say what a power loss would leave.
            Failed::Commit(error)
                if !matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)
                ) =>
            {
                Failure::Unknown(error.to_string())
            }
            Failed::Begin(error) | Failed::Work(error) | Failed::Commit(error) => {
                Failure::Refused(error.to_string())
            }
        }
    }
}

impl Failure {
    pub fn into_text(self) -> String {
        match self {
            Failure::Refused(text) | Failure::Unknown(text) => text,
        }
    }
}
