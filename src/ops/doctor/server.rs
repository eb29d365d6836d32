//! Checks of a PostgreSQL server: unused indexes, autovacuum, privileges and collations.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use indicatif::HumanBytes;

use super::Patient;
use super::finding::{Check, Finding};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{DbConnection, Result};

/// Days after which an index counts as unused, so that weekly queries have run by then.
const DAYS: u32 = 8;

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// Reports indexes that no query has used. Unique indexes are excluded, because they enforce a constraint.
pub(super) fn unused_indexes(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    // Counters that were never reset are as old as the database.
    let sql = format!(
        "SELECT i.indexrelname::text AS name, pg_catalog.pg_relation_size(i.indexrelid) AS bytes \
         FROM pg_stat_user_indexes i JOIN pg_index x ON x.indexrelid = i.indexrelid \
         WHERE i.idx_scan = 0 AND NOT x.indisunique AND i.schemaname = current_schema() AND i.relname = ANY ($1) \
             AND (SELECT coalesce(d.stats_reset, m.first) < now() - interval '{DAYS} days' FROM pg_stat_database d, \
                  (SELECT min(recorded_at) AS first FROM viraldb_migrations) m WHERE d.datname = current_database()) \
         ORDER BY bytes DESC, name"
    );
    let tables: Vec<&str> = crate::tables::tables().collect();
    let unused: Vec<Index> =
        query(patient, |c| diesel::sql_query(sql).bind::<diesel::sql_types::Array<Text>, _>(tables).load(c))?;
    if unused.is_empty() {
        return Ok(Vec::new());
    }
    let told: Vec<String> = unused
        .iter()
        .map(|index| format!("{} {}", index.name, HumanBytes(u64::try_from(index.bytes).unwrap_or_default())))
        .collect();
    let what = format!("no query has used these indexes for {DAYS} days or longer: {}", told.join(", "));
    let why =
        "they slow down writes; viraldb has queries that can use them, so keep them unless they are large";
    Ok(vec![Finding::info(Check::UnusedIndexes, what, why)])
}

#[derive(QueryableByName)]
struct Dead {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = BigInt)]
    dead: i64,
    #[diesel(sql_type = BigInt)]
    threshold: i64,
}

#[derive(QueryableByName)]
struct Vacuum {
    #[diesel(sql_type = Bool)]
    on: bool,
    #[diesel(sql_type = BigInt)]
    age: i64,
    #[diesel(sql_type = BigInt)]
    most: i64,
}

/// Reports tables with more than twice the number of dead rows that triggers autovacuum. The number itself may be exceeded
/// for a while, because autovacuum starts only once a minute.
pub(super) fn autovacuum(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let (check, mut found) = (Check::Autovacuum, Vec::new());
    let tables: Vec<&str> = crate::tables::tables().collect();
    let (vacuum, dead): (Vacuum, Vec<Dead>) = query(patient, |c| {
        let vacuum = diesel::sql_query(
            "SELECT pg_catalog.current_setting('autovacuum')::bool AND pg_catalog.current_setting('track_counts')::bool AS \"on\", \
                 pg_catalog.age(datfrozenxid)::bigint AS age, pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint AS most \
             FROM pg_database WHERE datname = current_database()",
        )
        .get_result(c)?;
        let dead = diesel::sql_query(
            "SELECT s.relname::text AS \"table\", s.n_dead_tup AS dead, t.threshold FROM pg_stat_user_tables s \
             JOIN pg_class r ON r.oid = s.relid \
             CROSS JOIN LATERAL (SELECT \
                 coalesce((SELECT option_value FROM pg_catalog.pg_options_to_table(r.reloptions) WHERE option_name = 'autovacuum_vacuum_threshold'), \
                     pg_catalog.current_setting('autovacuum_vacuum_threshold'))::float8 AS base, \
                 coalesce((SELECT option_value FROM pg_catalog.pg_options_to_table(r.reloptions) WHERE option_name = 'autovacuum_vacuum_scale_factor'), \
                     pg_catalog.current_setting('autovacuum_vacuum_scale_factor'))::float8 AS share) AS o \
             CROSS JOIN LATERAL (SELECT (o.base + o.share * greatest(r.reltuples, 0))::bigint AS threshold) AS t \
             WHERE s.n_dead_tup > 2 * t.threshold AND s.n_dead_tup > 1000 AND s.schemaname = current_schema() AND s.relname = ANY ($1) \
             ORDER BY s.n_dead_tup DESC",
        )
        .bind::<diesel::sql_types::Array<Text>, _>(tables)
        .load(c)?;
        Ok((vacuum, dead))
    })?;
    let why = "dead rows waste disk space and slow down queries";
    if !vacuum.on {
        let what = "autovacuum is off on this server";
        let mend = "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_catalog.pg_reload_conf()";
        found.push(Finding::warning(check, what, why).mend(mend));
    }
    for Dead { table, dead, threshold } in dead {
        let what =
            format!("autovacuum is behind on {table}: {dead} dead rows, but it should start at {threshold}");
        found.push(Finding::warning(check, what, why).mend(format!("VACUUM (ANALYZE) {table}")));
    }
    // Autovacuum freezes rows from autovacuum_freeze_max_age on, even if it is off. Near 2^31 transactions, the server
    // rejects all writes.
    if vacuum.age > 2 * vacuum.most {
        let what = format!("the oldest row has not been frozen for {} transactions", vacuum.age);
        let why = "the server rejects all writes shortly before 2,147,483,648 transactions";
        found.push(Finding::error(check, what, why).mend("vacuumdb --all --freeze"));
    }
    Ok(found)
}

fn query<T>(
    patient: &mut Patient<'_>,
    work: impl FnOnce(&mut diesel::pg::PgConnection) -> QueryResult<T>,
) -> Result<T> {
    patient.read(|conn: &mut DbConnection| {
        on_backend!(conn, sqlite => |_c| Err(diesel::NotFound), postgres => |c| work(c))
            .of("the server's statistics", "")
    })
}

#[derive(QueryableByName)]
struct Right {
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Text)]
    role: String,
}

/// Reports roles other than the owner that may create objects in the schema of our tables. PostgreSQL may prefer a function
/// in that schema to a built-in one.
pub(super) fn schema_rights(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let rights: Vec<Right> = query(patient, |c| {
        diesel::sql_query(
            "SELECT pg_catalog.quote_ident(n.nspname) AS schema, \
                 CASE WHEN a.grantee = 0 THEN 'PUBLIC' \
                     ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS role \
             FROM pg_namespace AS n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS a \
                 LEFT JOIN pg_roles AS r ON r.oid = a.grantee \
             WHERE n.nspname = current_schema() AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner \
                 AND NOT coalesce(r.rolsuper, false) ORDER BY role",
        )
        .load(c)
    })?;
    let found = rights.into_iter().map(|Right { schema, role }| {
        let who = if role == "PUBLIC" { "every role".to_owned() } else { format!("role {role}") };
        let what = format!("{who} may create objects in the schema {schema}");
        let why = "PostgreSQL may prefer a function or operator in this schema to a built-in one, and run it with the \
                   privileges of the user who queries";
        Finding::warning(Check::SchemaRights, what, why)
            .mend(format!("REVOKE CREATE ON SCHEMA {schema} FROM {role}"))
    });
    Ok(found.collect())
}

/// Checks that the collation library still has the version with which the indexes were built.
pub(super) fn collation(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    #[derive(QueryableByName)]
    struct Versions {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        built: String,
        #[diesel(sql_type = Text)]
        now: String,
    }
    #[derive(QueryableByName)]
    struct Known {
        #[diesel(sql_type = Bool)]
        is_known: bool,
    }
    let changed: Vec<Versions> = query(patient, |c| {
        let known: Known = diesel::sql_query(
            "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 150000 AS is_known",
        )
        .get_result(c)?;
        if !known.is_known {
            return Ok(Vec::new()); // older servers do not record the version
        }
        diesel::sql_query(
            "SELECT pg_catalog.quote_ident(datname) AS name, datcollversion AS built, now FROM pg_catalog.pg_database, \
             LATERAL (SELECT pg_catalog.pg_database_collation_actual_version(oid) AS now) AS library \
             WHERE datname = current_database() AND datcollversion <> now",
        )
        .load(c)
    })?;
    let found = changed.into_iter().map(|Versions { name, built, now }| {
        let what =
            format!("the indexes were built with version {built} of the collation library, which now is version {now}");
        let why = "if the versions sort differently, indexes on text miss rows and accept duplicate keys";
        Finding::error(Check::Collation, what, why).mend(format!(
            "while nothing writes: REINDEX DATABASE {name}; then: ALTER DATABASE {name} REFRESH COLLATION VERSION"
        ))
    });
    Ok(found.collect())
}
