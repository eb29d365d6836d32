//! A model of a few jobs, which checks whether the answers that concurrent workers received are consistent.
//!
//! Workers act concurrently, so the order in which the database applied their operations is unknown. Each
//! operation was applied between its start and its end. A history is explained if there is such an order in
//! which the model gives every answer, including the final rows.
//!
//! The model accepts an operation under a lease only while that lease holds the job and has not expired. It
//! lets only one claim hold a job, and lets no job leave `completed`. An explained history therefore shows
//! that no job was completed twice, no two leases overlapped, and no stale operation was accepted.

use std::collections::HashSet;

use viraldb::queue::{Backoff, Failure, Lease, Rescued};
use viraldb::types::LeaseToken;
use viraldb::{DbConnection, Error};

use super::*;

/// Returns a timestamp in the distant past.
pub fn past() -> Timestamp {
    "2000-01-01".parse().unwrap()
}

/// The claim of a job, which may have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    pub job: VideoProcessingJobId,
    pub token: LeaseToken,
}

impl From<Held> for Lease {
    fn from(held: Held) -> Self {
        Self::new(held.job, held.token)
    }
}

/// The known state of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Job {
    pub id: VideoProcessingJobId,
    pub status: JobStatus,
    pub attempts: i32,
    pub max_attempts: i32,
    /// The lease token and its expiry while a worker holds the job. The expiry is the earliest possible one if the lease was
    /// extended together with others, because the answer does not tell it.
    pub lease: Option<(LeaseToken, Timestamp)>,
    /// By how much the lease may expire later.
    slack: Duration,
    /// Earliest and latest possible `run_at`.
    due: (Timestamp, Timestamp),
}

impl Job {
    /// Creates the job from a row. Returns `Err` if the row breaks an invariant.
    pub fn new(row: &VideoProcessingJob) -> Result<Self, String> {
        let lease = row.lease_token.zip(row.lease_expires_at);
        let is_finished = matches!(row.status, JobStatus::Completed | JobStatus::Failed);
        let is_held = row.status == JobStatus::Processing;
        let is_sound = row.completed_at.is_some() == is_finished
            && (lease.is_some(), row.leased_by.is_some()) == (is_held, is_held)
            && row.lease_token.is_some() == row.lease_expires_at.is_some()
            && (i32::from(is_held)..=row.max_attempts).contains(&row.attempts);
        if !is_sound {
            return Err(format!("the row breaks an invariant: {row:?}"));
        }
        Ok(Self {
            id: row.id,
            status: row.status,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            lease,
            slack: Duration::ZERO,
            due: (row.run_at, row.run_at),
        })
    }

    /// Creates a due job that was never claimed.
    pub fn waiting(id: VideoProcessingJobId, max_attempts: i32) -> Self {
        let due = (past(), past());
        let slack = Duration::ZERO;
        Self { id, status: JobStatus::Queued, attempts: 0, max_attempts, lease: None, slack, due }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.status, JobStatus::Queued | JobStatus::Retrying)
    }

    fn is_over(&self) -> bool {
        matches!(self.status, JobStatus::Completed | JobStatus::Failed)
    }

    /// Returns true if the lease held the job at some time after `from`.
    fn is_held(&self, held: Held, from: Timestamp) -> bool {
        self.id == held.job
            && self.lease.is_some_and(|(token, until)| token == held.token && until + self.slack > from)
    }

    /// Returns true if the lease was lost at some time before `to`.
    fn is_lost(&self, held: Held, to: Timestamp) -> bool {
        !self.lease.is_some_and(|(token, until)| self.id == held.job && token == held.token && until > to)
    }

    fn end_lease(&mut self, status: JobStatus) {
        (self.status, self.lease, self.slack) = (status, None, Duration::ZERO);
    }

    /// Ends the lease after a failed attempt.
    fn lose_attempt(&mut self) {
        let is_last = self.attempts >= self.max_attempts;
        self.end_lease(if is_last { JobStatus::Failed } else { JobStatus::Retrying });
    }

    /// Returns true if the row matches this job, and takes the exact times from the row.
    fn is(&mut self, row: &Self) -> bool {
        if let (Some((_, until)), Some((_, exact))) = (&mut self.lease, row.lease)
            && (*until..=*until + self.slack).contains(&exact)
        {
            (*until, self.slack) = (exact, Duration::ZERO);
        }
        let is_due_then = (self.due.0..=self.due.1).contains(&row.due.0);
        self.due = row.due;
        is_due_then && self == row
    }
}

/// An operation that a worker requests.
#[derive(Debug, Clone)]
pub enum Act {
    Claim {
        at_most: u32,
        length: Duration,
    },
    Heartbeat(Held, Duration),
    Complete(Held),
    CompleteMany(Vec<Held>),
    Fail(Held, Duration),
    Release(Held),
    ReleaseMany(Vec<Held>),
    HeartbeatMany(Vec<Held>, Duration),
    Snooze(Held, Duration),
    Cancel(VideoProcessingJobId),
    Retry(VideoProcessingJobId),
    Rescue,
    /// Makes a lease expire by changing the row.
    Expire(Held),
    /// Makes a job due by changing the row.
    LetBeDue(VideoProcessingJobId),
    /// Reads these jobs.
    Look(Vec<VideoProcessingJobId>),
}

/// The answer to an operation.
#[derive(Debug, Clone)]
pub enum Answer {
    Jobs(Vec<Job>),
    Job(Job),
    Lost,
    LostOf(Vec<VideoProcessingJobId>),
    Refused,
    Rescued(Rescued),
    Changed(usize),
    /// An answer that no operation may give.
    Wrong(String),
}

/// An operation, its answer, and the time range in which it was applied.
#[derive(Debug, Clone)]
pub struct Record {
    pub from: Timestamp,
    pub to: Timestamp,
    pub act: Act,
    pub answer: Answer,
}

impl Record {
    /// Runs the operation and records its answer.
    pub fn of(conn: &mut DbConnection, act: Act) -> Self {
        let from = Timestamp::now();
        let answer = match act.ask(conn) {
            Ok(answer) => answer,
            Err(Error::LeaseLost { .. }) => Answer::Lost,
            Err(Error::Invalid { .. }) => Answer::Refused,
            Err(other) => Answer::Wrong(other.to_string()),
        };
        Self { from, to: Timestamp::now(), act, answer }
    }

    /// Returns the unfinished jobs of the answer.
    pub fn unfinished(&self) -> Vec<VideoProcessingJobId> {
        let Answer::Jobs(jobs) = &self.answer else { return Vec::new() };
        jobs.iter().filter(|job| !job.is_over()).map(|job| job.id).collect()
    }
}

impl Act {
    fn ask(&self, conn: &mut DbConnection) -> viraldb::Result<Answer> {
        let job = |row: VideoProcessingJob| Job::new(&row).map_or_else(Answer::Wrong, Answer::Job);
        let all = |rows: Vec<VideoProcessingJob>| {
            rows.iter().map(Job::new).collect::<Result<_, _>>().map_or_else(Answer::Wrong, Answer::Jobs)
        };
        Ok(match self {
            Self::Claim { at_most, length } => {
                all(queue::claim(conn, &Claim::new("w").at_most(*at_most).lease(*length))?)
            }
            Self::Heartbeat(held, length) => job(queue::heartbeat(conn, *held, *length)?),
            Self::Complete(held) => job(queue::complete(conn, *held)?),
            Self::CompleteMany(held) => Answer::LostOf(queue::complete_many(conn, held.iter().copied())?),
            Self::Fail(held, wait) => {
                let backoff = Backoff { base: *wait, longest: *wait };
                job(queue::fail(conn, *held, &Failure { backoff, ..Failure::new("no") })?)
            }
            Self::Release(held) => job(queue::release(conn, *held)?),
            Self::ReleaseMany(held) => Answer::LostOf(queue::release_many(conn, held.iter().copied())?),
            Self::HeartbeatMany(held, length) => {
                Answer::LostOf(queue::heartbeat_many(conn, held.iter().copied(), *length)?)
            }
            Self::Snooze(held, wait) => job(queue::snooze(conn, *held, *wait)?),
            Self::Cancel(id) => job(queue::cancel(conn, *id)?),
            Self::Retry(id) => job(queue::retry(conn, *id)?),
            Self::Rescue => Answer::Rescued(queue::rescue(conn)?),
            Self::Expire(held) => Answer::Changed(
                viraldb::diesel::update(jobs::table.find(held.job).filter(jobs::lease_token.eq(held.token)))
                    .set(jobs::lease_expires_at.eq(Some(past())))
                    .execute(conn)?,
            ),
            Self::LetBeDue(id) => Answer::Changed(
                viraldb::diesel::update(jobs::table.find(id)).set(jobs::run_at.eq(past())).execute(conn)?,
            ),
            Self::Look(ids) => all(VideoProcessingJob::query().filter(jobs::id.eq_any(ids)).load(conn)?),
        })
    }
}

/// The rules that jobs follow.
#[derive(Clone, Copy)]
pub struct Model {
    /// Whether a claim or rescue may skip a job. PostgreSQL skips rows that another session has locked.
    pub skips: bool,
}

impl Model {
    /// Returns true if some order of all operations explains the answers. Each lane holds the operations of
    /// one worker.
    pub fn explains(self, jobs: &[Job], lanes: &[Vec<Record>]) -> bool {
        let lanes: Vec<&[Record]> = lanes.iter().map(Vec::as_slice).collect();
        self.explain_rest(jobs.to_vec(), lanes, &mut HashSet::new())
    }

    fn explain_rest(
        self,
        jobs: Vec<Job>,
        lanes: Vec<&[Record]>,
        tried: &mut HashSet<(Vec<Job>, Vec<usize>)>,
    ) -> bool {
        // An operation that ended before another one began was applied first.
        let Some(first_end) = lanes.iter().filter_map(|lane| Some(lane.first()?.to)).min() else {
            return true;
        };
        if !tried.insert((jobs.clone(), lanes.iter().map(|lane| lane.len()).collect())) {
            return false;
        }
        (0..lanes.len()).any(|number| {
            let Some((record, rest)) = lanes[number].split_first().filter(|(next, _)| next.from <= first_end)
            else {
                return false;
            };
            let mut lanes = lanes.clone();
            lanes[number] = rest;
            self.after(&jobs, record).into_iter().any(|jobs| self.explain_rest(jobs, lanes.clone(), tried))
        })
    }

    /// Returns the possible states of the jobs after this operation and answer; empty if the answer is
    /// impossible.
    fn after(self, before: &[Job], record: &Record) -> Vec<Vec<Job>> {
        let (from, to) = (record.from, record.to);
        let mut after = before.to_vec();
        let is_possible = match (&record.act, &record.answer) {
            (Act::Claim { at_most, length }, Answer::Jobs(rows)) => {
                let most = *at_most as usize;
                let sure = before.iter().filter(|job| job.is_waiting() && job.due.1 <= from).count();
                let least = if self.skips { 0 } else { sure.min(most) };
                (least..=most).contains(&rows.len())
                    && rows.iter().all(|row| {
                        one(&mut after, row.id, |job| {
                            let was_free = job.is_waiting() && job.due.0 <= to;
                            job.status = JobStatus::Processing;
                            job.attempts += 1;
                            job.lease = row.lease;
                            was_free && runs_for(row, *length, record) && job.is(row)
                        })
                    })
            }
            (Act::Heartbeat(held, length), Answer::Job(row)) => one(&mut after, held.job, |job| {
                let was_held = job.is_held(*held, from);
                (job.lease, job.slack) = (row.lease.filter(|lease| lease.0 == held.token), Duration::ZERO);
                was_held && runs_for(row, *length, record) && job.is(row)
            }),
            (Act::Complete(held), Answer::Job(row)) => one(&mut after, held.job, |job| {
                let was_held = job.is_held(*held, from);
                job.end_lease(JobStatus::Completed);
                was_held && job.is(row)
            }),
            (Act::Fail(held, wait), Answer::Job(row)) => one(&mut after, held.job, |job| {
                let was_held = job.is_held(*held, from);
                job.lose_attempt();
                if job.is_waiting() {
                    job.due = (from + *wait / 2, to + *wait);
                }
                was_held && job.is(row)
            }),
            (Act::Release(held), Answer::Job(row)) => one(&mut after, held.job, |job| {
                let was_held = job.is_held(*held, from);
                job.end_lease(JobStatus::Queued);
                job.attempts -= 1;
                was_held && job.is(row)
            }),
            (Act::Snooze(held, wait), Answer::Job(row)) => one(&mut after, held.job, |job| {
                let was_held = job.is_held(*held, from);
                job.end_lease(JobStatus::Queued);
                (job.attempts, job.due) = (job.attempts - 1, (from + *wait, to + *wait));
                was_held && job.is(row)
            }),
            (
                Act::Heartbeat(held, _)
                | Act::Complete(held)
                | Act::Fail(held, _)
                | Act::Release(held)
                | Act::Snooze(held, _),
                Answer::Lost,
            ) => one(&mut after, held.job, |job| job.is_lost(*held, to)),
            (
                Act::CompleteMany(leases) | Act::ReleaseMany(leases) | Act::HeartbeatMany(leases, _),
                Answer::LostOf(lost),
            ) => after.iter_mut().all(|job| {
                let of_job: Vec<Held> = leases.iter().filter(|held| held.job == job.id).copied().collect();
                let lost = lost.iter().filter(|id| **id == job.id).count();
                if lost == of_job.len() {
                    return of_job.iter().all(|held| job.is_lost(*held, to));
                }
                let was_held = of_job.iter().any(|held| job.is_held(*held, from));
                match (&record.act, &mut job.lease) {
                    (Act::HeartbeatMany(_, length), Some((_, until))) => {
                        *until = from + *length;
                        job.slack = (to.to_utc() - from.to_utc()).to_std().unwrap();
                    }
                    (Act::ReleaseMany(_), _) => {
                        job.end_lease(JobStatus::Queued);
                        job.attempts -= 1;
                    }
                    _ => job.end_lease(JobStatus::Completed),
                }
                was_held && lost + 1 == of_job.len()
            }),
            (Act::Cancel(id), Answer::Job(row)) => one(&mut after, *id, |job| {
                let was_over = job.is_over();
                job.end_lease(JobStatus::Failed);
                !was_over && job.is(row)
            }),
            (Act::Cancel(id), Answer::Refused) => one(&mut after, *id, |job| job.is_over()),
            (Act::Retry(id), Answer::Job(row)) => one(&mut after, *id, |job| {
                let had_failed = job.status == JobStatus::Failed;
                (job.status, job.attempts, job.due) = (JobStatus::Queued, 0, (from, to));
                had_failed && job.is(row)
            }),
            (Act::Retry(id), Answer::Refused) => one(&mut after, *id, |job| job.status != JobStatus::Failed),
            (Act::Expire(held), Answer::Changed(count)) => one(&mut after, held.job, |job| {
                let lease = job.lease.as_mut().filter(|lease| lease.0 == held.token);
                job.slack = lease.as_ref().map_or(job.slack, |_| Duration::ZERO);
                *count == lease.map(|lease| lease.1 = past()).iter().len()
            }),
            (Act::LetBeDue(id), Answer::Changed(1)) => one(&mut after, *id, |job| {
                job.due = (past(), past());
                true
            }),
            (Act::Look(ids), Answer::Jobs(rows)) => {
                rows.len() == ids.len() && rows.iter().all(|row| one(&mut after, row.id, |job| job.is(row)))
            }
            (Act::Rescue, Answer::Rescued(rescued)) => return self.after_rescue(before, record, *rescued),
            _ => false,
        };
        if is_possible { vec![after] } else { Vec::new() }
    }

    /// A rescue reports only counts, so every choice of that many jobs is possible.
    fn after_rescue(self, before: &[Job], record: &Record, rescued: Rescued) -> Vec<Vec<Job>> {
        let surely_expired_by =
            |job: &Job, moment| job.lease.is_some_and(|(_, until)| until + job.slack <= moment);
        let expired_by = |job: &Job, moment| job.lease.is_some_and(|(_, until)| until <= moment);
        let choices = (0..1_u32 << before.len()).filter_map(|choice| {
            let mut after = before.to_vec();
            let mut sum = Rescued::default();
            for (number, job) in after.iter_mut().enumerate() {
                if choice & 1 << number == 0 {
                    if !self.skips && surely_expired_by(job, record.from) {
                        return None;
                    }
                } else if expired_by(job, record.to) {
                    job.lose_attempt();
                    if job.is_waiting() {
                        job.due = (record.from, record.to);
                        sum.retrying += 1;
                    } else {
                        sum.failed += 1;
                    }
                } else {
                    return None;
                }
            }
            (sum == rescued).then_some(after)
        });
        choices.collect()
    }
}

/// Returns true if the job exists and `with` returns true for it.
fn one(jobs: &mut [Job], id: VideoProcessingJobId, with: impl FnOnce(&mut Job) -> bool) -> bool {
    jobs.iter_mut().find(|job| job.id == id).is_some_and(with)
}

/// Returns true if the lease lasts `length` from some time within the operation.
fn runs_for(row: &Job, length: Duration, record: &Record) -> bool {
    row.lease.is_some_and(|(_, until)| (record.from + length..=record.to + length).contains(&until))
}
