//! What a worker knows about the numbers of jobs that it shares with other workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::work::Work;
use crate::queue::limit::{Limited, Limits, Taken};
use crate::republishing::{ChannelId, JobType, VideoProcessingJob};
use crate::types::WorkerId;

/// The jobs of a worker that are limited.
#[derive(Debug, Default)]
pub(super) struct LimitedJobs {
    pub(super) limits: Arc<Limits>,
    pub(super) holder: WorkerId,
    of: HashMap<Limited, Group>,
    /// Whether a job has ended that was limited, so that the worker may try to claim another one.
    is_freed: bool,
}

#[derive(Debug, Default)]
struct Group {
    /// How many of the jobs may run here.
    slots: u32,
    /// How many are claimed and not finished, and how many of them run.
    claimed: u32,
    running: u32,
    /// Until then others have the slots.
    full_until: Option<Instant>,
    /// Until then no more jobs may start, because their rate is limited.
    late_until: Option<Instant>,
}

impl LimitedJobs {
    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Takes over new limits and counts the jobs that are held.
    pub(super) fn set<'a>(&mut self, limits: Limits, held: impl Iterator<Item = &'a Arc<Work>>) {
        if limits == *self.limits {
            return;
        }
        self.limits = Arc::new(limits);
        for group in self.of.values_mut() {
            *group = Group { slots: group.slots, ..Group::default() };
        }
        for work in held {
            self.claimed(&work.job);
            if work.is_running() {
                self.started(&work.job);
            }
        }
    }

    /// Counts a claimed job.
    pub(super) fn claimed(&mut self, job: &VideoProcessingJob) {
        self.each(job, |group| group.claimed += 1);
    }

    /// Counts a job that is settled.
    pub(super) fn settled(&mut self, job: &VideoProcessingJob) {
        self.each(job, |group| {
            group.claimed = group.claimed.saturating_sub(1);
            group.full_until = None;
        });
        self.is_freed |= !self.is_empty();
    }

    /// Counts a job whose handler starts.
    pub(super) fn started(&mut self, job: &VideoProcessingJob) {
        self.each(job, |group| group.running += 1);
    }

    /// Counts a job whose handler has returned.
    pub(super) fn ended(&mut self, job: &VideoProcessingJob) {
        self.each(job, |group| group.running = group.running.saturating_sub(1));
    }

    /// Returns true if the handler of a claimed job may start.
    pub(super) fn may_start(&self, job: &VideoProcessingJob) -> bool {
        self.limits
            .of(job)
            .all(|limited| self.of.get(&limited).is_some_and(|group| group.running < group.slots))
    }

    fn each(&mut self, job: &VideoProcessingJob, change: impl Fn(&mut Group)) {
        if self.limits.is_empty() {
            return;
        }
        for limited in self.limits.of(job) {
            change(self.of.entry(limited).or_default());
        }
    }

    /// Returns which of the types may be claimed, and the channels whose jobs may not, for a worker with `hands` hands.
    pub(super) fn claimable(
        &mut self,
        types: &[JobType],
        hands: u32,
        ahead: &dyn Fn(u32) -> u32,
    ) -> (Vec<JobType>, Vec<ChannelId>) {
        self.is_freed = false;
        let now = Instant::now();
        for group in self.of.values_mut() {
            group.full_until = group.full_until.filter(|until| now < *until);
            group.late_until = group.late_until.filter(|until| now < *until);
        }
        let is_full = |limited: &Limited, group: &Group| {
            let most = self.limits.most(*limited).map(|most| most.min(hands));
            group.full_until.is_some()
                || group.late_until.is_some()
                || most.is_some_and(|most| group.claimed >= most + ahead(most))
        };
        let full: Vec<Limited> = self
            .of
            .iter()
            .filter(|(limited, group)| is_full(limited, group))
            .map(|(limited, _)| *limited)
            .collect();
        let types = if types.is_empty() { JobType::ALL } else { types };
        let types = types.iter().copied().filter(|word| !full.contains(&Limited::kind(*word))).collect();
        let channels = full.iter().filter_map(|limited| match limited {
            Limited::Channel(id) => Some(*id),
            _ => None,
        });
        (types, channels.collect())
    }

    /// Returns how many jobs are claimed.
    pub(super) fn counts(&self) -> HashMap<Limited, u32> {
        self.of.iter().map(|(limited, group)| (*limited, group.claimed)).collect()
    }

    /// Records what the worker has taken. The jobs are not counted here.
    pub(super) fn taken(&mut self, taken: &Taken) {
        let now = Instant::now();
        for (limited, slots) in &taken.slots {
            self.of.entry(*limited).or_default().slots = *slots;
        }
        for (limited, wait) in &taken.full {
            self.of.entry(*limited).or_default().full_until = Some(now + *wait);
        }
        for (limited, wait) in &taken.late {
            self.of.entry(*limited).or_default().late_until = Some(now + *wait);
        }
    }

    /// Returns the slots that the worker should keep, of those that it has more of than jobs.
    pub(super) fn unused(&self) -> Vec<(Limited, u32)> {
        let unused = |(limited, group): (&Limited, &Group)| {
            let needed = group.claimed.max(group.running);
            (group.slots > needed).then_some((*limited, needed))
        };
        self.of.iter().filter_map(unused).collect()
    }

    /// Records the slots that the worker has kept, and forgets what it has no job of.
    pub(super) fn kept(&mut self, slots: &[(Limited, u32)]) {
        for (limited, slots) in slots {
            if let Some(group) = self.of.get_mut(limited) {
                group.slots = *slots;
            }
        }
        self.of.retain(|_, group| {
            group.slots + group.claimed + group.running > 0
                || group.full_until.is_some()
                || group.late_until.is_some()
        });
    }

    pub(super) fn has_slots(&self) -> bool {
        self.of.values().any(|group| group.slots > 0)
    }

    /// Returns how long to wait at most before the worker should try to claim again.
    pub(super) fn wait(&self) -> Option<Duration> {
        if self.is_freed {
            return Some(Duration::ZERO);
        }
        let untils = self.of.values().flat_map(|group| [group.full_until, group.late_until]);
        let until = untils.flatten().min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }
}
