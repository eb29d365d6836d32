//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Database, Error, Result};

/// A file that gets its name when it is complete. Until then it has another one in the same folder, and is gone again if
/// it does not come so far.
pub(super) struct Whole {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Whole {
    /// # Errors
    /// `Invalid` for a name under which stands what is no file, or what the database needs.
    pub(super) fn new(db: &Database, path: PathBuf) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("--to {}", path.display()), why));
        if db.is_own_file(&path) {
            return refused("is a file of the database itself");
        }
        match std::fs::metadata(&path) {
            Ok(there) if there.is_dir() => return refused("is a folder"),
            Ok(there) if !there.is_file() => return refused("is no file; - is standard output"),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(path, error)),
        }
        let file = tempfile::Builder::new().prefix(".viraldb-").suffix(".tmp").tempfile_in(folder(&path));
        match file {
            Ok(file) => Ok(Self { path, file: BufWriter::new(file) }),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Puts what was written on the disk.
    pub(super) fn complete(self) -> Result<Complete> {
        let Self { path, file } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        match file.and_then(|file| file.as_file().sync_all().map(|()| file)) {
            Ok(file) => Ok(Complete { path, file }),
            Err(error) => Err(Error::io(path, error)),
        }
    }
}

/// A file that is on the disk, and has not its name yet.
pub(super) struct Complete {
    path: PathBuf,
    file: NamedTempFile,
}

impl Complete {
    /// Gives it its name, which is put on the disk too: it stands in the folder.
    pub(super) fn name(self) -> Result<()> {
        let Self { path, file } = self;
        let named = file.persist(&path).map_err(|error| error.error);
        named.and_then(|_| File::open(folder(&path))?.sync_all()).map_err(|error| Error::io(path, error))
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
