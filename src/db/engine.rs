//! The database engines.

use crate::types::portable;

portable! {
    /// A database engine.
    pub enum Engine {
        Sqlite = "SQLite",
        Postgres = "PostgreSQL",
    }
}

impl Engine {
    /// Returns the feature of this crate that contains the engine.
    pub(crate) const fn feature(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Returns true if this program was built with the engine.
    pub(crate) const fn is_built(self) -> bool {
        match self {
            Self::Sqlite => cfg!(feature = "sqlite"),
            Self::Postgres => cfg!(feature = "postgres"),
        }
    }
}
