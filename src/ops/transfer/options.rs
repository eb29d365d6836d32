//! How to transfer.

/// Rows that are written in one transaction at most, unless told otherwise.
pub const BATCH: u32 = 20_000;

/// What to do with what the target holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Take a target that is empty, and no other.
    #[default]
    Refuse,
    /// Go on with a transfer that was interrupted; or begin one, if the target is empty. A target that is a complete
    /// copy already stays as it is.
    Resume,
    /// Delete it all first.
    Replace,
}

/// How to transfer; `Options::default()` takes an empty target only.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do with what the target holds.
    pub existing: Existing,
    /// Maximum number of rows in each transaction, at least 1; [`BATCH`] unless told. 8 MiB of rows are a batch, too. There
    /// are fewer while other programs write to a SQLite target.
    pub batch: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { existing: Existing::default(), batch: BATCH }
    }
}
