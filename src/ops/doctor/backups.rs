//! Checks that there is a recent, complete backup.

use std::time::Duration;

use super::Patient;
use super::finding::{Check, Finding};
use crate::Result;
use crate::db::migrate::History;
use crate::ops::backup::{State, default_folder, list_of};
use crate::types::Timestamp;

/// Age from which the newest backup is too old: a weekly schedule always has a newer one.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);
/// Age up to which a database does not need a backup yet.
const NEW: Duration = Duration::from_secs(24 * 3600);

pub(super) fn backups(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let url = &patient.opener.url;
    let folder = patient.asked.backups.clone().unwrap_or_else(|| default_folder(url));
    let of_this = list_of(url, &folder)?;
    let mut found = Vec::new();
    for backup in of_this.iter().filter(|backup| backup.state != State::Intact) {
        let what = format!("the backup {} {}", backup.file.display(), backup.state);
        let mend = "check that another backup is complete (viraldb backup verify), then delete this one";
        found.push(Finding::warning(Check::Backups, what, "it cannot be restored").mend(mend));
    }
    let now = Timestamp::now();
    for backup in &of_this {
        if let Some(at) = backup.ahead_of(now) {
            let what = format!("the backup {} is dated {at}, later than now", backup.file.display());
            let why = "the clock was wrong when it was created, or is wrong now, so it may not be the newest backup";
            let mend = "check the clock with `date`, run `viraldb backup create`, then delete this backup";
            found.push(Finding::warning(Check::Backups, what, why).mend(mend));
        }
    }
    let newest = of_this
        .iter()
        .filter(|backup| backup.state == State::Intact && backup.ahead_of(now).is_none())
        .find_map(|backup| backup.created_at);
    let why = "if the database is lost, everything since the last backup is lost";
    let what = match newest {
        Some(at) if at >= now - OLD => None,
        Some(at) => Some(format!("the newest backup in {} is from {at}", folder.display())),
        None if made(patient)?.is_none_or(|at| at >= now - NEW) => None,
        None => Some(format!("there is no backup in {}", folder.display())),
    };
    let mend =
        "run `viraldb backup create`; if the backups are elsewhere, run `viraldb doctor --backups DIR`";
    found.extend(what.map(|what| Finding::warning(Check::Backups, what, why).mend(mend)));
    Ok(found)
}

/// Returns when the first migration was applied.
fn made(patient: &mut Patient<'_>) -> Result<Option<Timestamp>> {
    let history = patient.read(History::read)?;
    Ok(history.entries.iter().filter_map(|entry| entry.recorded_at).min())
}
