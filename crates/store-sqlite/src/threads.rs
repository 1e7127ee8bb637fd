//! The threads that own the connections, so that the async runtime never waits for a disk. Group
//! commit: waiting jobs share one transaction and one fsync, and are answered after it.

use std::io;
use std::slice;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// The most waiting jobs. Further callers wait for room.
const QUEUE: usize = 1_024;

/// Why a job has no result. Nothing was written, except possibly with `Unknown`.
#[derive(Debug, Clone)]
pub(super) enum JobError {
    Refused(String),
    Unknown(String),
}

/// The settings of a group of threads.
#[derive(Clone, Copy)]
pub(super) struct ThreadSettings {
    pub name: &'static str,
    pub behavior: TransactionBehavior,
    /// The most jobs in one transaction.
    pub group: usize,
}

/// Threads with one connection each, and their shared queue. Dropping it finishes the waiting jobs
/// and closes the connections.
pub(super) struct Threads {
    queue: mpsc::Sender<Box<dyn Job>>,
    timeout: Duration,
    // Declared after the queue, so that it is dropped after it: the threads end when the queue is
    // closed and empty.
    _joined: JoinOnDrop,
}

struct JoinOnDrop(Vec<JoinHandle<()>>);

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Threads {
    pub fn start(
        connections: Vec<Connection>,
        settings: ThreadSettings,
        timeout: Duration,
    ) -> io::Result<Threads> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let spawn = |connection| {
            let jobs = Arc::clone(&jobs);
            Builder::new()
                .name(settings.name.to_owned())
                .spawn(move || serve(connection, &jobs, settings))
        };
        let threads = connections.into_iter().map(spawn).collect::<io::Result<_>>()?;
        Ok(Threads { queue, timeout, _joined: JoinOnDrop(threads) })
    }

    /// Runs `work` in a transaction and returns its result after the commit. `work` may run twice;
    /// then the first transaction was rolled back.
    pub async fn run<T, F>(&self, work: F) -> Result<T, JobError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let deadline = Instant::now() + self.timeout;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(PendingJob { work, result: None, reply });
        match timeout_at(deadline, self.queue.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                return Err(JobError::Refused("the store is closed; nothing was done".to_owned()));
            }
            Err(_) => {
                return Err(JobError::Refused("too many calls wait for the disk".to_owned()));
            }
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(JobError::Unknown("the store was closed".to_owned())),
            Err(_) => {
                Err(JobError::Unknown(format!("the disk did not answer within {:?}", self.timeout)))
            }
        }
    }
}

/// A job with its result, which is sent only after the transaction.
struct PendingJob<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, JobError>>,
}

trait Job: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), JobError>);
}

impl<T: Send, F: Fn(&Connection) -> rusqlite::Result<T> + Send> Job for PendingJob<T, F> {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), JobError>) {
        let result = self.result.ok_or_else(|| JobError::Refused("the job was not run".to_owned()));
        // The caller may be gone.
        let _ = self.reply.send(outcome.and(result));
    }
}

/// The step in which a transaction failed.
enum JobTransactionError {
    Begin(rusqlite::Error),
    Work(rusqlite::Error),
    Commit(rusqlite::Error),
}

fn serve(
    mut connection: Connection,
    queue: &Mutex<mpsc::Receiver<Box<dyn Job>>>,
    settings: ThreadSettings,
) {
    while let Some(mut jobs) = take(queue, settings.group) {
        match transact(&mut connection, settings.behavior, &mut jobs) {
            Ok(()) => answer(jobs, &Ok(())),
            Err(JobTransactionError::Begin(error)) => {
                answer(jobs, &Err(JobError::Refused(error.to_string())))
            }
            Err(failed) if jobs.len() == 1 => answer(jobs, &Err(failed.into())),
            Err(_) => serve_alone(&mut connection, settings.behavior, jobs),
        }
    }
}

/// One job, or their size, made the shared transaction fail. Run each job alone, so that it fails
/// no other.
fn serve_alone(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    jobs: Vec<Box<dyn Job>>,
) {
    for mut job in jobs {
        let outcome =
            transact(connection, behavior, slice::from_mut(&mut job)).map_err(JobError::from);
        job.answer(outcome);
    }
}

fn answer(jobs: Vec<Box<dyn Job>>, outcome: &Result<(), JobError>) {
    for job in jobs {
        job.answer(outcome.clone());
    }
}

/// The waiting jobs, at most `max_jobs`; waits if there are none. `None` after the queue is closed
/// and empty.
fn take(queue: &Mutex<mpsc::Receiver<Box<dyn Job>>>, max_jobs: usize) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = queue.lock();
    let mut jobs = vec![queue.blocking_recv()?];
    while jobs.len() < max_jobs
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
) -> Result<(), JobTransactionError> {
    let transaction =
        connection.transaction_with_behavior(behavior).map_err(JobTransactionError::Begin)?;
    for job in jobs {
        job.run(&transaction).map_err(JobTransactionError::Work)?;
    }
    transaction.commit().map_err(JobTransactionError::Commit)
}

impl From<JobTransactionError> for JobError {
    fn from(failed: JobTransactionError) -> JobError {
        match failed {
            // A write that fails on a full disk is not in the log. But after a failed fsync the
            // state after a power loss is unknown.
            JobTransactionError::Commit(error)
                if !matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)
                ) =>
            {
                JobError::Unknown(error.to_string())
            }
            JobTransactionError::Begin(error)
            | JobTransactionError::Work(error)
            | JobTransactionError::Commit(error) => JobError::Refused(error.to_string()),
        }
    }
}

impl JobError {
    pub fn into_text(self) -> String {
        match self {
            JobError::Refused(text) | JobError::Unknown(text) => text,
        }
    }
}
