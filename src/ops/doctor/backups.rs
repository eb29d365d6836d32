//! Whether there is a backup that is not too old.

use std::time::Duration;

use super::Patient;
use super::finding::{Check, Finding};
use crate::Result;
use crate::db::migrate::History;
use crate::ops::backup::{default_folder, list, name_of, origin_of};
use crate::types::Timestamp;

/// Who backs up once a week, as is the least that people do, has a younger one.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);
/// A database that was made today need not have one yet.
const NEW: Duration = Duration::from_secs(24 * 3600);

pub(super) fn backups(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let url = &patient.opener.url;
    let folder = patient.asked.backups.clone().unwrap_or_else(|| default_folder(url));
    let (name, origin) = (name_of(url), origin_of(url)?);
    let mut of_this = list(&folder)?;
    of_this
        .retain(|backup| (&backup.database, &backup.origin) == (&Some(name.clone()), &Some(origin.clone())));
    let mut found = Vec::new();
    for backup in of_this.iter().filter(|backup| backup.state != "whole") {
        let what = format!("the backup {} {}", backup.file.display(), backup.state);
        let mend = "remove it, when another one is whole: viraldb backup verify";
        found.push(Finding::warning(Check::Backups, what, "it cannot be restored").mend(mend));
    }
    let now = Timestamp::now();
    for backup in &of_this {
        if let Some(at) = backup.ahead_of(now) {
            let what = format!("the backup {} is dated {at}, later than now", backup.file.display());
            let why = "the clock was wrong when it was made, or is wrong now: it may not be the newest";
            let mend =
                "look at the clock: date; then make another one, viraldb backup create, and remove this one";
            found.push(Finding::warning(Check::Backups, what, why).mend(mend));
        }
    }
    let newest = of_this
        .iter()
        .filter(|backup| backup.state == "whole" && backup.ahead_of(now).is_none())
        .find_map(|backup| backup.created_at);
    let why = "what is lost with the database is lost for good";
    let what = match newest {
        Some(at) if at >= now - OLD => None,
        Some(at) => Some(format!("the newest backup in {} is of {at}", folder.display())),
        None if made(patient)?.is_none_or(|at| at >= now - NEW) => None,
        None => Some(format!("there is no backup in {}", folder.display())),
    };
    let mend = "viraldb backup create    or, if they are kept elsewhere: viraldb doctor --backups DIR";
    found.extend(what.map(|what| Finding::warning(Check::Backups, what, why).mend(mend)));
    Ok(found)
}

/// When the first migration was applied.
fn made(patient: &mut Patient<'_>) -> Result<Option<Timestamp>> {
    let history = patient.read(History::read)?;
    Ok(history.entries.iter().filter_map(|entry| entry.recorded_at).min())
}
