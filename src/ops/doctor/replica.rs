//! Whether the server that is read on has the rows of the one that is written to.

use super::Patient;
use super::finding::{Check, Finding};
use crate::db::opener::Opener;
use crate::db::replica::{Identity, Standing, parse};
use crate::{Options, Result};

/// Looks at the server that `VIRALDB_READ_URL` names, if it names one.
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
        (Check::Replica, "programs that are told to read there do not open, or cannot read");
    Ok(match standing {
        Ok(Standing::Primary) => {
            let what = "VIRALDB_READ_URL names the primary itself";
            vec![Finding::info(check, what, "no other server relieves it of reads")]
        }
        Ok(_) => Vec::new(),
        Err(error) => {
            let mend = "name a server that follows this one in VIRALDB_READ_URL, or take it away";
            vec![Finding::error(check, error.to_string(), no_reads).mend(mend)]
        }
    })
}
