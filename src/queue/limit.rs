//! The numbers of jobs that all workers share: how many may run concurrently, and how many may start within a period.
//!
//! A worker that wants to run jobs of a limited kind takes slots: a row in `viraldb_job_slots` says how many, and expires
//! unless the worker renews it. The rows of all workers together never have more slots than the limit. A worker claims first
//! and takes slots in the same transaction; it releases what it got no slot for, so nobody sees that it was claimed.
//!
//! The number of starts is exact for each moment, not an average: `viraldb_job_starts` has a row for each start within the
//! period.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;

use super::batch::{Change, change_many};
use crate::config::Current;
use crate::db::clock::{after, now};
use crate::db::{DbConnection, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::{ChannelId, JobType, VideoProcessingJob};
use crate::schema::{channels, viraldb_job_slots as slots, viraldb_job_starts as starts};
use crate::types::sql::Bool;
use crate::types::{JobStartId, Timestamp, WorkerId};

/// How long a worker waits before it asks again for slots that others have.
const AGAIN: Duration = Duration::from_secs(1);

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Limited {
    Scrapes,
    Downloads,
    Renders,
    Publishes,
    Channel(ChannelId),
}

impl Limited {
    const KINDS: [Self; 4] = [Self::Scrapes, Self::Downloads, Self::Renders, Self::Publishes];

    /// Returns the kind of jobs of this type.
    pub(super) const fn kind(job_type: JobType) -> Self {
        match job_type {
            JobType::Scrape => Self::Scrapes,
            JobType::Download => Self::Downloads,
            JobType::Transform | JobType::MusicReplace => Self::Renders,
            JobType::Publish => Self::Publishes,
        }
    }

    /// Returns the settings that limit concurrent jobs, and starts within a period.
    const fn settings(self) -> (&'static str, Option<(&'static str, Duration)>) {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        match self {
            Self::Scrapes => ("max_concurrent_scrapes", Some(("max_scrapes_per_minute", MINUTE))),
            Self::Downloads => ("max_concurrent_downloads", Some(("max_downloads_per_minute", MINUTE))),
            Self::Renders => ("max_concurrent_renders", None),
            Self::Publishes => ("max_concurrent_publishes", Some(("max_publishes_per_day", DAY))),
            Self::Channel(_) => (PER_CHANNEL, None),
        }
    }
}

const PER_CHANNEL: &str = "max_concurrent_jobs_per_channel";

/// The name in the database.
impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scrapes => f.write_str("scrapes"),
            Self::Downloads => f.write_str("downloads"),
            Self::Renders => f.write_str("renders"),
            Self::Publishes => f.write_str("publishes"),
            Self::Channel(id) => write!(f, "channel {id}"),
        }
    }
}

/// At most `most` jobs may start within any period of length `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    most: u32,
    per: Duration,
}

/// The limits that the settings set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Limits {
    most: BTreeMap<Limited, u32>,
    rates: BTreeMap<Limited, Rate>,
    every_channel: Option<u32>,
    /// The channels with a value of their own.
    channels: HashMap<ChannelId, Option<u32>>,
}

impl Limits {
    /// Reads the limits. Without `defaults`, a limit counts only if somebody has set it.
    pub(super) fn read(conn: &mut DbConnection, defaults: bool) -> Result<Self> {
        let own = || {
            channels::table
                .filter(sql::<Bool>(&format!("CAST(settings AS text) LIKE '%{PER_CHANNEL}%'")))
                .select(channels::id)
        };
        let own: Vec<ChannelId> = on_backend!(&mut *conn, |c| own().load(c)).of("channels", "")?;
        let mut keys = vec![PER_CHANNEL];
        for kind in Limited::KINDS {
            let (most, rate) = kind.settings();
            keys.push(most);
            keys.extend(rate.map(|rate| rate.0));
        }
        let current = Current::read(conn, own, &keys)?.with_changes(conn, &keys)?;
        let mut limits = Self { every_channel: current.get(None, PER_CHANNEL)?, ..Self::default() };
        for kind in Limited::KINDS {
            let (most, rate) = kind.settings();
            let most: Option<u32> = match defaults {
                true => current.get(None, most)?,
                false => current.get_if_set(None, most)?,
            };
            limits.most.extend(most.map(|most| (kind, most)));
            if let Some((key, per)) = rate
                && let Some(most) = current.get::<Option<u32>>(None, key)?
            {
                limits.rates.insert(kind, Rate { most, per });
            }
        }
        for channel in current.channels() {
            limits.channels.insert(channel, current.get(Some(channel), PER_CHANNEL)?);
        }
        Ok(limits)
    }

    /// Returns true if nothing is limited.
    pub(super) fn is_empty(&self) -> bool {
        self.most.is_empty()
            && self.rates.is_empty()
            && self.every_channel.is_none()
            && self.channels.values().all(Option::is_none)
    }

    /// Returns how many of these jobs all workers may run concurrently.
    pub(super) fn most(&self, limited: Limited) -> Option<u32> {
        match limited {
            Limited::Channel(id) => self.channels.get(&id).copied().unwrap_or(self.every_channel),
            kind => self.most.get(&kind).copied(),
        }
    }

    /// Returns what limits how many jobs like this one run concurrently.
    pub(super) fn of(&self, job: &VideoProcessingJob) -> impl Iterator<Item = Limited> {
        let limited = [Limited::kind(job.job_type), Limited::Channel(job.channel_id)];
        limited.into_iter().filter(|limited| self.most(*limited).is_some())
    }
}

/// A worker that takes slots.
pub(super) struct Taker<'a> {
    pub(super) limits: &'a Limits,
    pub(super) holder: WorkerId,
    /// How long the slots last without renewal.
    pub(super) length: Duration,
    /// How many jobs the worker may run.
    pub(super) hands: u32,
    /// Returns how many jobs this number of hands may claim ahead.
    pub(super) ahead: &'a dyn Fn(u32) -> u32,
    /// How many jobs the worker has claimed and not finished.
    pub(super) claimed: HashMap<Limited, u32>,
}

/// What a worker got.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) jobs: Vec<VideoProcessingJob>,
    /// The slots that the worker has now.
    pub(super) slots: BTreeMap<Limited, u32>,
    /// What others have all slots of, and how long the worker should wait before it asks again.
    pub(super) full: BTreeMap<Limited, Duration>,
    /// What may not start now, and how long it has to wait.
    pub(super) late: BTreeMap<Limited, Duration>,
}

impl Taker<'_> {
    /// Takes slots for jobs that were claimed in this transaction, and releases the jobs that it gets none for.
    pub(super) fn take(&self, conn: &mut DbConnection, claimed: Vec<VideoProcessingJob>) -> Result<Taken> {
        let mut taken = Taken { jobs: claimed, ..Taken::default() };
        let mut over = Vec::new();
        let kind = |job: &VideoProcessingJob| Limited::kind(job.job_type);
        let channel = |job: &VideoProcessingJob| Limited::Channel(job.channel_id);
        self.take_slots(conn, &mut taken, &mut over, &kind)?;
        self.take_slots(conn, &mut taken, &mut over, &channel)?;
        for (kind, rate) in &self.limits.rates {
            let wants = taken.jobs.iter().filter(|job| Limited::kind(job.job_type) == *kind).count();
            let (room, wait) = take_starts(conn, *kind, *rate, wants)?;
            taken.late.extend(wait.map(|wait| (*kind, wait)));
            taken.keep(
                &mut over,
                |limited| (limited == *kind).then_some(room),
                |job| Limited::kind(job.job_type),
            );
        }
        change_many(conn, &over, Change::Release)?;
        Ok(taken)
    }

    fn take_slots(
        &self,
        conn: &mut DbConnection,
        taken: &mut Taken,
        over: &mut Vec<VideoProcessingJob>,
        limited: &dyn Fn(&VideoProcessingJob) -> Limited,
    ) -> Result<()> {
        let mut new: BTreeMap<Limited, u32> = BTreeMap::new();
        for job in &taken.jobs {
            *new.entry(limited(job)).or_default() += 1;
        }
        new.retain(|limited, _| self.limits.most(*limited).is_some());
        let claimed = |limited: &Limited| self.claimed.get(limited).copied().unwrap_or_default();
        let wants: Vec<(Limited, u32)> =
            new.iter().map(|(limited, new)| (*limited, (claimed(limited) + new).min(self.hands))).collect();
        let mut room = HashMap::new();
        for (limited, slots) in self.set_slots(conn, &wants)? {
            let most = if slots == 0 { 0 } else { slots + (self.ahead)(slots) };
            let left = most.saturating_sub(claimed(&limited));
            if new.get(&limited).is_some_and(|new| left < *new) {
                taken.full.insert(limited, AGAIN);
            }
            taken.slots.insert(limited, slots);
            room.insert(limited, left as usize);
        }
        taken.keep(over, |limited| room.get(&limited).copied(), limited);
        Ok(())
    }

    /// Takes as many of these slots as others leave, and gives back the others of the same names. Returns how many it has.
    pub(super) fn set_slots(
        &self,
        conn: &mut DbConnection,
        wants: &[(Limited, u32)],
    ) -> Result<Vec<(Limited, u32)>> {
        #[derive(Insertable)]
        #[diesel(table_name = slots)]
        struct Row<'a> {
            name: &'a str,
            holder: WorkerId,
            slots: i32,
            expires_at: Timestamp,
        }
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = wants.iter().map(|(limited, _)| limited.to_string()).collect();
        #[cfg(feature = "postgres")]
        lock(conn, "viraldb_job_slots")?;
        let others: Vec<(String, i32)> = on_backend!(&mut *conn, |c| {
            diesel::delete(slots::table.filter(
                slots::name.eq_any(&names).and(slots::holder.eq(self.holder).or(slots::expires_at.le(now()))),
            ))
            .execute(c)?;
            slots::table.filter(slots::name.eq_any(&names)).select((slots::name, slots::slots)).load(c)
        })
        .of("viraldb_job_slots", "")?;
        let mut used: HashMap<&str, u32> = HashMap::new();
        for (name, slots) in &others {
            *used.entry(name).or_default() += slots.unsigned_abs();
        }
        let expires_at = at(conn, self.length)?;
        let mut rows = Vec::with_capacity(wants.len());
        let mut has = Vec::with_capacity(wants.len());
        for ((limited, wants), name) in wants.iter().zip(&names) {
            let most = self.limits.most(*limited).unwrap_or(u32::MAX);
            let got = most.saturating_sub(used.get(&**name).copied().unwrap_or_default()).min(*wants);
            has.push((*limited, got));
            if got > 0 {
                let slots = i32::try_from(got).unwrap_or(i32::MAX);
                rows.push(Row { name, holder: self.holder, slots, expires_at });
            }
        }
        insert_many::<_, Row<'_>>(conn, slots::table, "viraldb_job_slots", &rows)?;
        Ok(has)
    }
}

impl Taken {
    /// Moves jobs to `over` for which `room` has no place left. Jobs without a limit stay.
    fn keep(
        &mut self,
        over: &mut Vec<VideoProcessingJob>,
        room: impl Fn(Limited) -> Option<usize>,
        limited: impl Fn(&VideoProcessingJob) -> Limited,
    ) {
        let mut kept: HashMap<Limited, usize> = HashMap::new();
        for job in std::mem::take(&mut self.jobs) {
            let limited = limited(&job);
            let kept = kept.entry(limited).or_default();
            if room(limited).is_none_or(|room| *kept < room) {
                *kept += 1;
                self.jobs.push(job);
            } else {
                over.push(job);
            }
        }
    }
}

/// Takes starts for jobs, and returns how many may start and how long the others have to wait.
fn take_starts(
    conn: &mut DbConnection,
    limited: Limited,
    rate: Rate,
    wants: usize,
) -> Result<(usize, Option<Duration>)> {
    #[derive(Insertable)]
    #[diesel(table_name = starts)]
    struct Row<'a> {
        id: JobStartId,
        name: &'a str,
        started_at: Timestamp,
    }
    if wants == 0 {
        return Ok((0, None));
    }
    let name = limited.to_string();
    #[cfg(feature = "postgres")]
    lock(conn, "viraldb_job_starts")?;
    let started_at = at(conn, Duration::ZERO)?;
    let (used, oldest): (i64, Option<Timestamp>) = on_backend!(&mut *conn, |c| {
        let these = || starts::table.filter(starts::name.eq(&name));
        diesel::delete(these().filter(starts::started_at.le(started_at - rate.per))).execute(c)?;
        these().select((diesel::dsl::count_star(), diesel::dsl::min(starts::started_at))).first(c)
    })
    .of("viraldb_job_starts", "")?;
    let left = (rate.most as usize).saturating_sub(usize::try_from(used).unwrap_or_default());
    let got = left.min(wants);
    let rows: Vec<Row<'_>> =
        (0..got).map(|_| Row { id: JobStartId::default(), name: &name, started_at }).collect();
    insert_many::<_, Row<'_>>(conn, starts::table, "viraldb_job_starts", &rows)?;
    if got == wants {
        return Ok((got, None));
    }
    let free = oldest.unwrap_or(started_at) + rate.per;
    let wait = (free.to_utc() - started_at.to_utc()).to_std().unwrap_or_default();
    Ok((got, Some(wait.max(Duration::from_millis(1)))))
}

/// Extends the slots of a worker, so that they last `length` from now.
pub(super) fn renew_slots(conn: &mut DbConnection, holder: WorkerId, length: Duration) -> Result<usize> {
    on_backend!(conn, |c| diesel::update(slots::table.filter(slots::holder.eq(holder)))
        .set(slots::expires_at.eq(after(length)))
        .execute(c))
    .of("viraldb_job_slots", holder)
}

/// Gives back all slots of a worker.
pub(super) fn return_slots(conn: &mut DbConnection, holder: WorkerId) -> Result<usize> {
    on_backend!(conn, |c| diesel::delete(slots::table.filter(slots::holder.eq(holder))).execute(c))
        .of("viraldb_job_slots", holder)
}

/// Returns the time of the database in `wait`.
fn at(conn: &mut DbConnection, wait: Duration) -> Result<Timestamp> {
    on_backend!(conn, |c| diesel::select(after(wait)).get_result(c)).of("the clock", "")
}

/// On PostgreSQL, waits for other workers that take slots or starts. On SQLite, this transaction is the only one that writes.
#[cfg(feature = "postgres")]
fn lock(conn: &mut DbConnection, name: &'static str) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| Ok(()),
        postgres => |c| crate::db::postgres::lock_name(c, name),
    )
    .of(name, "")
}
