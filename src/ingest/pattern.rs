//! File name patterns, such as `exports/**/*.csv`.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use super::names;
use crate::quote::quoted;
use crate::{Error, Result};

/// Returns true if a name contains wildcards.
pub(super) fn has_wildcard(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// A file name pattern.
pub(super) struct Pattern {
    pub(super) text: String,
    /// The folder at the start of the pattern. Empty for the current folder.
    base: PathBuf,
    matcher: GlobMatcher,
    /// The parts of the pattern before the first `**`. They keep the walk out of folders that cannot match.
    parts: Vec<GlobMatcher>,
    /// True if the pattern contains `**`. Such a pattern does not follow links to folders and does not match whole folders.
    pub(super) is_recursive: bool,
    /// True if the pattern names hidden files explicitly.
    takes_hidden: bool,
    depth: usize,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self> {
        let text = text.trim_end_matches('/');
        let literal = text.find(['*', '?', '[', '{', '\\']).and_then(|at| text.get(..at)?.rfind('/'));
        let (base, rest) = literal.and_then(|at| text.split_at_checked(at + 1)).unwrap_or(("", text));
        let bad = |error: globset::Error| {
            Error::invalid(quoted(text), format!("is neither a file nor a valid pattern: {}", error.kind()))
        };
        let parts = rest.split('/').take_while(|part| !part.contains("**"));
        // A part may be half of `{a,b/c}` and not a valid pattern. In that case every folder is entered.
        let parts = parts.map(|part| Some(Glob::new(part).ok()?.compile_matcher())).collect::<Option<_>>();
        Ok(Self {
            text: text.to_owned(),
            base: base.into(),
            matcher: GlobBuilder::new(rest).literal_separator(true).build().map_err(bad)?.compile_matcher(),
            parts: parts.unwrap_or_default(),
            is_recursive: rest.contains("**"),
            takes_hidden: rest.starts_with('.') || rest.contains("/."),
            depth: if rest.contains("**") { usize::MAX } else { rest.matches('/').count() + 1 },
        })
    }

    fn start(&self) -> &Path {
        if self.base.as_os_str().is_empty() { Path::new(".") } else { &self.base }
    }

    /// Walks all entries of the folders that the pattern may match.
    pub(super) fn walk(&self) -> WalkDir {
        let walk = WalkDir::new(self.start()).min_depth(1).max_depth(self.depth);
        walk.follow_links(!self.is_recursive).sort_by_file_name()
    }

    pub(super) fn matches(&self, entry: &DirEntry) -> bool {
        entry.path().strip_prefix(self.start()).is_ok_and(|path| self.matcher.is_match(path))
    }

    /// Returns true if nothing in the folder can match.
    pub(super) fn leaves_out(&self, folder: &DirEntry) -> bool {
        let part = folder.depth().checked_sub(1).and_then(|at| self.parts.get(at));
        self.is_hidden(folder) || part.is_some_and(|part| !part.is_match(folder.file_name()))
    }

    pub(super) fn is_hidden(&self, entry: &DirEntry) -> bool {
        !self.takes_hidden && names::is_hidden(entry.file_name())
    }

    /// Returns the path as a user in the current folder would write it.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        let shown = if self.base.as_os_str().is_empty() { path.strip_prefix(".").ok() } else { None };
        shown.unwrap_or(path).to_owned()
    }
}
