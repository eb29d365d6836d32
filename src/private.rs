//! Items that only the `viraldb` command uses. They are not part of the public interface and may change in any release.

pub mod bounded {
    //! Bounded reads.
    pub use crate::bounded::{BY_HAND, file, text};
}

pub mod json_upsert {
    //! Rows as JSON documents.
    pub use crate::db::json_upsert::{cell, columns, from_row};
}

pub mod files {
    //! Files that only their owner may read, and the files of a database.
    pub use crate::db::files::{create_private, is_of_database, private};
}

pub mod quote {
    //! Formatting of values in messages.
    pub use crate::quote::{
        counted, one_line, quoted, short, visible, visible_json, visible_lines, visible_log,
    };
}

#[cfg(feature = "postgres")]
pub use crate::db::notices::catch_printed;
pub use crate::db::options::set_default_busy_timeout;
#[cfg(feature = "sqlite")]
pub use crate::db::sqlite::set_up_process;
pub use crate::db::url::Hidden;
pub use crate::environment::variable;
#[cfg(feature = "ops")]
pub use crate::ops::resume::resume_command;
pub use crate::secrets::has_sealed_columns;

/// Returns the names of the 22 tables.
pub fn tables() -> impl Iterator<Item = &'static str> {
    crate::tables::tables()
}
