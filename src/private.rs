//! What the command uses beside the public items. It is not part of the public interface and may change in any release.

pub mod bounded {
    //! Reading no more than is wanted.
    pub use crate::bounded::{BY_HAND, file, text};
}

pub mod json_upsert {
    //! Rows as documents.
    pub use crate::db::json_upsert::{cell, columns, from_row};
}

pub mod files {
    //! Files of the user alone, and those of a database.
    pub use crate::db::files::{create_private, is_of_database, private};
}

pub mod quote {
    //! Values in messages.
    pub use crate::quote::{one_line, quoted, short, visible, visible_json, visible_lines, visible_log};
}

#[cfg(feature = "postgres")]
pub use crate::db::notices::catch_printed;
pub use crate::db::options::set_default_busy_timeout;
#[cfg(feature = "sqlite")]
pub use crate::db::sqlite::set_up_process;
pub use crate::db::url::Hidden;
pub use crate::environment::variable;
pub use crate::secrets::has_sealed_columns;
