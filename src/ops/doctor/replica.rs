//! Checks that the read replica has the same data as the primary.

use super::Patient;
use super::finding::{Check, Finding};
use crate::db::opener::Opener;
use crate::db::replica::{Identity, Standing, parse};
use crate::{Options, Result};

/// Checks the server of `VIRALDB_READ_URL`, if it is set.
pub(super) fn replica(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let Some(url) = Options::from_environment()?.read_url else { return Ok(Vec::new()) };
    let main = &patient.opener.url;
    let primary = patient.read(Identity::of)?;
    let standing = parse(&url, main).and_then(|url| {
        let opener = Opener::new(url, &Options::default())?;
        let found = opener.reader().and_then(|mut conn| Identity::of(&mut conn));
        let standing = found.map_err(|error| opener.explained(error))?.beside(&primary);
        standing.require(&opener.url, main)?;
        Ok(standing)
    });
    let (check, no_reads) =
        (Check::Replica, "programs that use this URL fail to open the database, or cannot read");
    Ok(match standing {
        Ok(Standing::Primary) => {
            let what = "VIRALDB_READ_URL points to the primary itself";
            vec![Finding::info(check, what, "all reads still go to the primary")]
        }
        Ok(_) => Vec::new(),
        Err(error) => {
            let mend = "set VIRALDB_READ_URL to a replica of this server, or unset it";
            vec![Finding::error(check, error.to_string(), no_reads).mend(mend)]
        }
    })
}
