//! The migrations that the program holds, of each engine.

use super::migration::Migration;
use crate::db::{DatabaseUrl, DbConnection};

#[cfg(feature = "sqlite")]
/// The migrations of `migrations/sqlite`, oldest first.
pub(crate) const SQLITE: &[Migration] = &[
    Migration {
        name: "2026-11-21-000001_viraldb",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000001_viraldb/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000001_viraldb/down.sql"),
    },
    Migration {
        name: "2026-11-21-000002_compilation",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000002_compilation/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000002_compilation/down.sql"),
    },
    Migration {
        name: "2026-11-21-000003_republishing",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000003_republishing/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000003_republishing/down.sql"),
    },
    Migration {
        name: "2026-11-21-000004_generation",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000004_generation/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000004_generation/down.sql"),
    },
    Migration {
        name: "2026-11-27-000005_safe_functions",
        up: include_str!("../../../migrations/sqlite/2026-11-27-000005_safe_functions/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-27-000005_safe_functions/down.sql"),
    },
];

#[cfg(feature = "postgres")]
/// The migrations of `migrations/postgres`, oldest first.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration {
        name: "2026-11-21-000001_viraldb",
        up: include_str!("../../../migrations/postgres/2026-11-21-000001_viraldb/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000001_viraldb/down.sql"),
    },
    Migration {
        name: "2026-11-21-000002_compilation",
        up: include_str!("../../../migrations/postgres/2026-11-21-000002_compilation/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000002_compilation/down.sql"),
    },
    Migration {
        name: "2026-11-21-000003_republishing",
        up: include_str!("../../../migrations/postgres/2026-11-21-000003_republishing/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000003_republishing/down.sql"),
    },
    Migration {
        name: "2026-11-21-000004_generation",
        up: include_str!("../../../migrations/postgres/2026-11-21-000004_generation/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000004_generation/down.sql"),
    },
    Migration {
        name: "2026-11-27-000005_safe_functions",
        up: include_str!("../../../migrations/postgres/2026-11-27-000005_safe_functions/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-27-000005_safe_functions/down.sql"),
    },
];

/// The migrations of the engine of a URL.
pub(super) fn of_engine(url: &DatabaseUrl) -> &'static [Migration] {
    match url {
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(_) => POSTGRES,
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(_) | DatabaseUrl::Memory => SQLITE,
        #[allow(unreachable_patterns)] // with both engines
        _ => &[], // `Opener` lets only an engine through that is compiled in
    }
}

/// The migrations of the engine of a connection.
pub(super) fn of_connection(conn: &DbConnection) -> &'static [Migration] {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => SQLITE,
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => POSTGRES,
    }
}
