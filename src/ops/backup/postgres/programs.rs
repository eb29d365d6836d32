//! Finds and runs PostgreSQL's client programs, and reports their errors.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use crate::db::url::conninfo::environment;
use crate::error::found_no_room;
use crate::quote::one_line;
use crate::{Error, Result};

/// The folder where Debian installs the programs, with a subfolder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Returns the command for one of PostgreSQL's programs.
///
/// The connection is passed in the environment, because other users can read a program's arguments.
pub(super) fn program(name: &str, url: &str, pg_bin: Option<&Path>) -> Result<Command> {
    let mut command = Command::new(find(name, pg_bin)?);
    // Pass on only the connection below, but no keys or other URLs of viraldb.
    for (variable, _) in std::env::vars_os() {
        if is_ours(&variable.to_string_lossy()) {
            command.env_remove(variable);
        }
    }
    if !url.is_empty() {
        command.envs(environment(url)?);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// Returns true for variables that only viraldb reads. Any `VIRALDB_` variable may contain a secret.
fn is_ours(variable: &str) -> bool {
    variable == "DATABASE_URL" || variable.to_ascii_uppercase().starts_with("VIRALDB_")
}

fn find(name: &str, pg_bin: Option<&Path>) -> Result<PathBuf> {
    let in_folder = |folder: PathBuf| Some(folder.join(name)).filter(|program| program.is_file());
    let found = match pg_bin {
        Some(folder) => in_folder(folder.to_owned()),
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .find_map(in_folder)
            .or_else(|| {
                let versions = std::fs::read_dir(DEBIAN).ok()?.flatten();
                let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
                let mut folders: Vec<PathBuf> = versions.map(|version| version.path()).collect();
                folders.sort_by_key(version);
                folders.into_iter().rev().find_map(|folder| in_folder(folder.join("bin")))
            }),
    };
    found.ok_or_else(|| Error::Unusable {
        database: name.to_owned(),
        reason: match pg_bin {
            Some(folder) => format!("not found in {}; give the folder of PostgreSQL's client programs", folder.display()),
            None => "not found; install PostgreSQL's client programs (Debian: apt-get install postgresql-client), or \
                     give their folder with --pg-bin"
                .to_owned(),
        },
    })
}

/// The maximum number of bytes kept of a program's error output.
const ERRORS: u64 = 64 * 1024;

/// A running program. A thread reads its error output.
pub(super) struct Running {
    name: &'static str,
    pub(super) child: Child,
    said: JoinHandle<std::io::Result<Vec<u8>>>,
}

impl Running {
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command.spawn().map_err(|error| Error::io(name, error))?;
        let errors = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let Some(mut errors) = errors else { return Ok(bytes) };
            errors.by_ref().take(ERRORS).read_to_end(&mut bytes)?;
            // Read the rest as well, because the program would block on a full pipe.
            std::io::copy(&mut errors, &mut std::io::sink())?;
            Ok(bytes)
        });
        Ok(Self { name, child, said })
    }

    pub(super) fn is_running(&mut self) -> Result<bool> {
        self.child.try_wait().map(|ended| ended.is_none()).map_err(|error| Error::io(self.name, error))
    }

    /// Waits for the program, and fails if its exit code is not 0.
    pub(super) fn end(mut self) -> Result<()> {
        let status = self.child.wait().map_err(|error| Error::io(self.name, error))?;
        let said = self.said.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if status.success() {
            return Ok(());
        }
        let said = said.map_err(|error| Error::io(self.name, error))?;
        let said = one_line(&String::from_utf8_lossy(&said));
        let room = if found_no_room(&said) { "; make room and try again" } else { "" };
        let reason = format!("failed ({status}): {said}{room}");
        Err(Error::Unusable { database: self.name.to_owned(), reason })
    }
}
