//! Applies the fixes of findings. A fix never deletes rows.

use diesel::connection::SimpleConnection;

use super::finding::{Finding, Fix, Mended};
use crate::db::on_backend;
use crate::db::opener::Opener;
use crate::queue::Rescued;
use crate::quote::one_line;
use crate::{DbConnection, Result, queue};

/// Applies all fixes. The error of a failed fix is the finding and the reason.
pub(super) fn all(opener: &Opener, findings: &[Finding]) -> Vec<Result<Mended, (String, String)>> {
    let mut conn = opener.for_migration();
    let fixable = findings.iter().filter_map(|finding| Some((finding, finding.fix.as_ref()?)));
    fixable
        .map(|(Finding { check, what, .. }, fix)| {
            let done = match &mut conn {
                Ok(conn) => fix.apply(conn).map_err(|error| opener.explained(error).to_string()),
                Err(error) => Err(error.to_string()),
            };
            let what = what.clone();
            match done {
                Ok(done) => Ok(Mended { check: *check, what, done }),
                Err(why_not) => Err((what, why_not)),
            }
        })
        .collect()
}

impl Fix {
    /// Applies the fix and returns a description of what was done.
    fn apply(&self, conn: &mut DbConnection) -> Result<String> {
        match self {
            Self::Together(sql) => {
                conn.atomically(|conn| Ok(conn.batch_execute(sql)?))?;
                Ok(one_line(sql))
            }
            Self::Alone(sql) => {
                conn.batch_execute(sql)?;
                Ok(one_line(sql))
            }
            Self::OrElse(sql, back) => match conn.batch_execute(sql) {
                Ok(()) => Ok(one_line(sql)),
                Err(error) => {
                    conn.batch_execute(back)?;
                    Err(error.into())
                }
            },
            Self::Rescue => {
                let Rescued { retrying, failed } = rescue(conn)?;
                Ok(format!("viraldb jobs rescue: {retrying} retrying, {failed} failed"))
            }
            #[cfg(all(unix, feature = "sqlite"))]
            Self::Narrow(path) => narrow(path),
        }
    }
}

fn rescue(conn: &mut DbConnection) -> Result<Rescued> {
    let mut sum = Rescued::default();
    loop {
        let rescued = queue::rescue(conn)?;
        if rescued == Rescued::default() {
            return Ok(sum);
        }
        sum.retrying += rescued.retrying;
        sum.failed += rescued.failed;
    }
}

#[cfg(all(unix, feature = "sqlite"))]
fn narrow(path: &std::path::Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;

    let failed = |error| crate::Error::io(path, error);
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    let narrowed = std::fs::Permissions::from_mode(mode & !0o007);
    std::fs::set_permissions(path, narrowed).map_err(failed)?;
    Ok(format!("chmod o-rwx {}", path.display()))
}

/// Returns the fix for the engine of the connection.
#[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(unused_variables))] // the fix of the missing engine
pub(super) fn on_engine(conn: &DbConnection, sqlite: Fix, postgres: Fix) -> Fix {
    on_backend!(conn, sqlite => |_c| sqlite, postgres => |_c| postgres)
}
