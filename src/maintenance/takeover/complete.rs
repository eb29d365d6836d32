//! Whether a target holds what a takeover of the source brings: one that was killed after its commit has done all its
//! work, and has not said so.

use super::application::Table;
use super::mask::is_secret;
use super::source::{self, Source, Tables};
use super::{Application, Options, Progress, Reject, Report, require_empty, takeover};
use crate::maintenance::transfer::{self, Digest, Kind};
use crate::{Database, DbConnection, Result};

/// Takes the source over into a file that goes away, and compares that with the target. Returns the report if they are
/// the same.
///
/// Times and sealed values are not compared: a default is the time of the takeover, and no value is sealed to the same
/// text twice.
pub(super) fn report(
    source: &mut Source,
    name: &str,
    to: &str,
    (application, there): (Application, &Tables),
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Report>> {
    // A target that is not there, or not current, holds nothing of this takeover.
    let Ok(target) = Database::connect_with(to, &crate::Options::default()) else { return Ok(None) };
    if target.read(|conn| require_empty(conn, application)).is_ok() {
        return Ok(None);
    }
    let tables: Vec<&Table> = application.tables().iter().filter(|table| !table.replaces).collect();
    let held = target.read(|conn| digests(conn, &tables))?;
    // Counting is fast, and most often tells.
    for (table, held) in tables.iter().zip(&held) {
        let is_there = there.contains_key(table.from);
        let rows = if is_there { source.read(|conn| source::count(conn, table.from))? } else { 0 };
        if held.rows > rows {
            return Ok(None);
        }
    }
    let folder = crate::db::files::temporary()?;
    let file = format!("sqlite://{}", folder.path().join("viral.db").display());
    let options = Options { application: Some(application), keyring: options.keyring, ..Options::default() };
    let report = takeover(name, &file, &options, reject, progress)?;
    let taken =
        Database::connect_with(&file, &crate::Options::default())?.read(|conn| digests(conn, &tables))?;
    let to = target.url().to_string();
    Ok((taken == held).then_some(Report { to, was_complete: true, ..report }))
}

fn digests(conn: &mut DbConnection, tables: &[&Table]) -> Result<Vec<Digest>> {
    conn.snapshot(|conn| {
        conn.refuse_hidden_rows()?;
        tables
            .iter()
            .map(|table| {
                transfer::digest_of(conn, table.to, |column| {
                    column.kind != Kind::Time && !is_secret(table.to, &column.name)
                })
            })
            .collect()
    })
}
