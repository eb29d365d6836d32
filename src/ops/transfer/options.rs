//! Options of a transfer.

/// Default maximum number of rows in one transaction.
pub const BATCH: u32 = 20_000;

/// What to do with rows that the target already contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Accept only an empty target.
    #[default]
    Refuse,
    /// Continue an interrupted transfer, or start a new one if the target is empty. A target that is already a complete
    /// copy is not changed.
    Resume,
    /// Delete all rows of the target first.
    Replace,
}

/// Options of a transfer. `Options::default()` accepts only an empty target.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do with rows that the target already contains.
    pub existing: Existing,
    /// Maximum number of rows in each transaction, at least 1. The default is [`BATCH`]. A transaction also ends at 8 MiB of
    /// rows. Transactions are smaller while other programs write to a SQLite target.
    pub batch: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { existing: Existing::default(), batch: BATCH }
    }
}
