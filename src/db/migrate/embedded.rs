//! The migrations embedded in the program, for each engine.

use super::migration::Migration;
use crate::db::{DatabaseUrl, DbConnection};

#[cfg(feature = "sqlite")]
/// The migrations of `migrations/sqlite`, oldest first.
pub(crate) const SQLITE: &[Migration] = &[
    Migration {
        name: "2026-11-21-000001_viraldb",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000001_viraldb/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000001_viraldb/down.sql"),
        reworded_from: Some("4f4cef1977b24e645eb3d8b620c7245a7bc26c322c8a5843a8e2f3d3763749a0"),
    },
    Migration {
        name: "2026-11-21-000002_compilation",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000002_compilation/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000002_compilation/down.sql"),
        reworded_from: Some("c6cc9ca4c9c0c0ed675bd0cbeffc122a61d6d1d478c6086daa02b4efb03103b6"),
    },
    Migration {
        name: "2026-11-21-000003_republishing",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000003_republishing/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000003_republishing/down.sql"),
        reworded_from: Some("ff597550a2d58f353c822eb010e326a35f8e0d934253228c3116172711b1bf44"),
    },
    Migration {
        name: "2026-11-21-000004_generation",
        up: include_str!("../../../migrations/sqlite/2026-11-21-000004_generation/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-21-000004_generation/down.sql"),
        reworded_from: Some("3c5c9ae42c37bc0a9a35a1fb0758641a173c58d49e9fa73a1e48c2bdb5313bba"),
    },
    Migration {
        name: "2026-11-27-000005_safe_functions",
        up: include_str!("../../../migrations/sqlite/2026-11-27-000005_safe_functions/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-11-27-000005_safe_functions/down.sql"),
        reworded_from: Some("b8075b6612b05b192a24f91aa7514a86fa8e86850bba59d86c470117b67b2500"),
    },
    Migration {
        name: "2026-12-01-000006_job_payload",
        up: include_str!("../../../migrations/sqlite/2026-12-01-000006_job_payload/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-12-01-000006_job_payload/down.sql"),
        reworded_from: None,
    },
    Migration {
        name: "2026-12-01-000007_job_features",
        up: include_str!("../../../migrations/sqlite/2026-12-01-000007_job_features/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-12-01-000007_job_features/down.sql"),
        reworded_from: None,
    },
    Migration {
        name: "2026-12-01-000008_report_indexes",
        up: include_str!("../../../migrations/sqlite/2026-12-01-000008_report_indexes/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-12-01-000008_report_indexes/down.sql"),
        reworded_from: None,
    },
    Migration {
        name: "2026-12-02-000009_unresolved_errors",
        up: include_str!("../../../migrations/sqlite/2026-12-02-000009_unresolved_errors/up.sql"),
        down: include_str!("../../../migrations/sqlite/2026-12-02-000009_unresolved_errors/down.sql"),
        reworded_from: None,
    },
];

#[cfg(feature = "postgres")]
/// The migrations of `migrations/postgres`, oldest first.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration {
        name: "2026-11-21-000001_viraldb",
        up: include_str!("../../../migrations/postgres/2026-11-21-000001_viraldb/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000001_viraldb/down.sql"),
        reworded_from: Some("aca2d32f61f89c5b7366a933fc57bd6a9950603c1c0ba18165590977fa913cdc"),
    },
    Migration {
        name: "2026-11-21-000002_compilation",
        up: include_str!("../../../migrations/postgres/2026-11-21-000002_compilation/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000002_compilation/down.sql"),
        reworded_from: Some("5d8156b90a040a05f687cca9093a4566e00dc3ccb1e368019450f6fcad66c32f"),
    },
    Migration {
        name: "2026-11-21-000003_republishing",
        up: include_str!("../../../migrations/postgres/2026-11-21-000003_republishing/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000003_republishing/down.sql"),
        reworded_from: Some("15b1d5920e5437149311388ae7763abff94e8f523efd752576300711acd601c6"),
    },
    Migration {
        name: "2026-11-21-000004_generation",
        up: include_str!("../../../migrations/postgres/2026-11-21-000004_generation/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-21-000004_generation/down.sql"),
        reworded_from: Some("f1d8d5129328b47247803a5360ce6e334685da0c938ac25666c54baca26bd214"),
    },
    Migration {
        name: "2026-11-27-000005_safe_functions",
        up: include_str!("../../../migrations/postgres/2026-11-27-000005_safe_functions/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-11-27-000005_safe_functions/down.sql"),
        reworded_from: Some("54abf29e694de844293e80ff67be10ff927765413f16aabecf672932653ede57"),
    },
    Migration {
        name: "2026-12-01-000006_job_payload",
        up: include_str!("../../../migrations/postgres/2026-12-01-000006_job_payload/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-12-01-000006_job_payload/down.sql"),
        reworded_from: None,
    },
    Migration {
        name: "2026-12-01-000007_job_features",
        up: include_str!("../../../migrations/postgres/2026-12-01-000007_job_features/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-12-01-000007_job_features/down.sql"),
        reworded_from: None,
    },
    Migration {
        name: "2026-12-01-000008_report_indexes",
        up: include_str!("../../../migrations/postgres/2026-12-01-000008_report_indexes/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-12-01-000008_report_indexes/down.sql"),
        reworded_from: None,
    },
    Migration {
        name: "2026-12-02-000009_unresolved_errors",
        up: include_str!("../../../migrations/postgres/2026-12-02-000009_unresolved_errors/up.sql"),
        down: include_str!("../../../migrations/postgres/2026-12-02-000009_unresolved_errors/down.sql"),
        reworded_from: None,
    },
];

/// Returns the migrations for the engine of a URL.
pub(super) fn of_engine(url: &DatabaseUrl) -> &'static [Migration] {
    match url {
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(_) => POSTGRES,
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(_) | DatabaseUrl::Memory => SQLITE,
        #[allow(unreachable_patterns)] // with both engines
        _ => &[], // `Opener` has already rejected engines that are not compiled in
    }
}

/// Returns the migrations for the engine of a connection.
pub(super) fn of_connection(conn: &DbConnection) -> &'static [Migration] {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => SQLITE,
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => POSTGRES,
    }
}
