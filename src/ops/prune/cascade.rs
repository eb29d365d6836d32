//! Deletes old rows, together with the rows of other tables that belong to them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};

use super::{PAGE, Part, Prune, Pruned, Pruning};
use crate::db::{Bulk, clock, on_backend};
use crate::error::ResultExt;
use crate::{Database, DbConnection, Result};

/// A table, and the child tables whose rows belong to its rows.
pub(super) struct Tree {
    pub(super) part: Part,
    table: &'static str,
    /// Type of the ids on PostgreSQL.
    ids: &'static str,
    /// The condition for old rows, on the alias `root`. `{errors}` and `{finished}` are replaced by timestamps.
    old: &'static str,
    /// Child tables and their foreign key columns, in the order in which their rows can be deleted.
    children: &'static [(&'static str, &'static str)],
    /// Tables with file paths: the table, its column that refers to `table`, and the column of the path.
    files: &'static [(&'static str, &'static str, &'static str)],
}

/// The condition for old rows of `error_log`.
const OLD_ERROR: &str = "root.resolved AND root.occurred_at < {errors}";

pub(super) const TREES: [Tree; 4] = [
    Tree { part: Part::Errors, table: "error_log", ids: "bigint", old: OLD_ERROR, children: &[], files: &[] },
    Tree {
        part: Part::Jobs,
        table: "video_processing_jobs",
        ids: "uuid",
        old: "root.status IN ('completed', 'failed') AND coalesce(root.completed_at, root.updated_at) < {finished}",
        children: &[],
        files: &[],
    },
    Tree {
        part: Part::Runs,
        table: "pipeline_runs",
        ids: "bigint",
        old: "root.status IN ('uploaded', 'failed') AND root.completed_at < {finished} \
              AND NOT EXISTS (SELECT 1 FROM review_log WHERE review_log.pipeline_run_id = root.id \
                AND review_log.action IS NULL AND review_log.responded_at IS NULL) \
              AND NOT EXISTS (SELECT 1 FROM clips JOIN shorts ON shorts.clip_id = clips.id \
                WHERE clips.pipeline_run_id = root.id AND shorts.pipeline_run_id <> root.id) \
              AND NOT EXISTS (SELECT 1 FROM shorts JOIN clips ON clips.id = shorts.clip_id \
                WHERE shorts.pipeline_run_id = root.id AND clips.pipeline_run_id <> root.id)",
        children: &[
            ("shorts", "pipeline_run_id"),
            ("clips", "pipeline_run_id"),
            ("scripts", "pipeline_run_id"),
            ("tts_audio", "pipeline_run_id"),
            ("review_log", "pipeline_run_id"),
            ("error_log", "pipeline_run_id"),
        ],
        files: &[
            ("pipeline_runs", "id", "video_file_path"),
            ("clips", "pipeline_run_id", "clip_file_path"),
            ("tts_audio", "pipeline_run_id", "audio_file_path"),
            ("shorts", "pipeline_run_id", "file_path"),
        ],
    },
    Tree {
        part: Part::Generation,
        table: "jobs",
        ids: "bigint",
        old: "root.status IN ('completed', 'failed') AND coalesce(root.updated_at, root.created_at) < {finished} \
              AND NOT EXISTS (SELECT 1 FROM job_videos WHERE job_videos.job_id = root.id \
                AND (job_videos.status IN ('generated', 'approved') \
                OR coalesce(job_videos.published_at, job_videos.approved_at, job_videos.created_at) >= {finished})) \
              AND NOT EXISTS (SELECT 1 FROM job_scripts JOIN job_videos ON job_videos.script_id = job_scripts.id \
                WHERE job_scripts.job_id = root.id AND job_videos.job_id IS DISTINCT FROM root.id) \
              AND NOT EXISTS (SELECT 1 FROM job_videos JOIN job_scripts ON job_scripts.id = job_videos.script_id \
                WHERE job_videos.job_id = root.id AND job_scripts.job_id <> root.id)",
        children: &[("job_videos", "job_id"), ("job_scripts", "job_id")],
        files: &[("job_videos", "job_id", "file_path"), ("job_videos", "job_id", "thumbnail_path")],
    },
];

#[derive(QueryableByName)]
struct Looked {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Integer)]
    old: i32,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

impl Tree {
    /// Deletes the old rows.
    pub(super) fn delete(
        &self,
        db: &Database,
        bulk: &mut Bulk<'_>,
        prune: &Prune,
        pruned: &mut Pruned,
        told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
    ) -> Result<()> {
        self.start(pruned);
        let mut pages = Pages::new(self);
        while let Some(found) = db.read_newest(|conn| pages.next(conn, prune))? {
            let mut left = &*found;
            while let Some(gone) = bulk.write_next(&mut left, prune.batch as usize, |conn, ids| {
                self.delete_batch(conn, prune, ids, told)
            })? {
                pruned.file_count += gone.files;
                for (table, rows) in gone.rows {
                    pruned.add(table, rows);
                }
                told(Pruning::Rows(pruned.rows()))?;
            }
        }
        Ok(())
    }

    /// Counts the old rows, and reports their file paths to `told`.
    pub(super) fn count(
        &self,
        conn: &mut DbConnection,
        prune: &Prune,
        pruned: &mut Pruned,
        told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
    ) -> Result<()> {
        self.start(pruned);
        let old = filled(conn, self.old, prune);
        let roots = format!("FROM {} AS root WHERE {old}", self.table);
        pruned.add(self.table, count(conn, &format!("SELECT count(*) AS rows {roots}"))?);
        for (table, column) in self.children {
            let mut sql = format!(
                "SELECT count(*) AS rows FROM {table} AS child WHERE child.{column} IN (SELECT root.id {roots})"
            );
            // `Part::Errors` has already counted the old errors.
            if *table == "error_log" && prune.parts.contains(&Part::Errors) {
                let old = filled(conn, OLD_ERROR, prune).replace("root.", "child.");
                sql = format!("{sql} AND NOT ({old})");
            }
            pruned.add(table, count(conn, &sql)?);
        }
        if self.files.is_empty() {
            return Ok(());
        }
        let mut pages = Pages::new(self);
        while let Some(found) = pages.next(conn, prune)? {
            for ids in found.chunks(prune.batch as usize) {
                pruned.file_count += self.tell_files(conn, ids, told)?;
            }
        }
        Ok(())
    }

    /// Adds each table with a count of 0.
    fn start(&self, pruned: &mut Pruned) {
        pruned.add(self.table, 0);
        self.children.iter().for_each(|(table, _)| pruned.add(table, 0));
    }

    /// Deletes the rows that are still old, with everything that belongs to them.
    fn delete_batch(
        &self,
        conn: &mut DbConnection,
        prune: &Prune,
        ids: &[String],
        told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
    ) -> Result<Gone> {
        let old = filled(conn, self.old, prune);
        if self.children.is_empty() {
            let rows = delete_where(conn, self.table, "id", self.ids, ids, Some(&old))?;
            return Ok(Gone { rows: vec![(self.table, rows)], files: 0 });
        }
        let ids = self.still_old(conn, ids, &old)?;
        let files = self.tell_files(conn, &ids, told)?;
        let mut rows = Vec::new();
        for (table, column) in self.children {
            rows.push((*table, delete_where(conn, table, column, self.ids, &ids, None)?));
        }
        rows.push((self.table, delete_where(conn, self.table, "id", self.ids, &ids, None)?));
        Ok(Gone { rows, files })
    }

    /// Locks the rows and returns those that are still old.
    ///
    /// Until the end of the transaction, no other program can change these rows or add rows that belong to them.
    fn still_old(&self, conn: &mut DbConnection, ids: &[String], old: &str) -> Result<Vec<String>> {
        let table = self.table;
        let list = list(conn, self.ids, ids);
        on_backend!(
            &mut *conn,
            sqlite => |_c| Ok(0),
            // Lock in a separate statement. The next statement sees rows that others added while this one waited.
            postgres => |c| diesel::sql_query(format!(
                "SELECT id FROM {table} WHERE id {} ORDER BY id FOR UPDATE", list.sql
            ))
            .bind::<Text, _>(&list.value)
            .execute(c)
        )
        .of(table, "")?;
        let sql = format!(
            "SELECT CAST(root.id AS text) AS text FROM {table} AS root WHERE root.id {} AND {}",
            list.sql,
            flag(old)
        );
        let found: Vec<Line> =
            on_backend!(conn, |c| diesel::sql_query(sql).bind::<Text, _>(&list.value).load(c))
                .of(table, "")?;
        Ok(found.into_iter().map(|line| line.text).collect())
    }

    /// Reports the file paths in these rows and their child rows to `told`, and returns the number of paths.
    fn tell_files(
        &self,
        conn: &mut DbConnection,
        ids: &[String],
        told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
    ) -> Result<u64> {
        let list = list(conn, self.ids, ids);
        let parts: Vec<String> = self
            .files
            .iter()
            .map(|(table, column, path)| {
                format!("SELECT {path} AS text FROM {table} WHERE {column} {} AND {path} <> ''", list.sql)
            })
            .collect();
        let sql = parts.join(" UNION ALL ");
        let found: Vec<Line> =
            on_backend!(conn, |c| diesel::sql_query(sql).bind::<Text, _>(&list.value).load(c))
                .of(self.table, "")?;
        let files: Vec<String> = found.into_iter().map(|line| line.text).collect();
        if !files.is_empty() {
            told(Pruning::Files(&files))?;
        }
        Ok(files.len() as u64)
    }
}

/// The rows that one transaction deleted, and the number of their file paths.
struct Gone {
    rows: Vec<(&'static str, u64)>,
    files: u64,
}

/// Reads the ids of old rows, page by page in the order of the ids.
struct Pages<'a> {
    tree: &'a Tree,
    after: Option<String>,
    is_done: bool,
}

impl<'a> Pages<'a> {
    const fn new(tree: &'a Tree) -> Self {
        Self { tree, after: None, is_done: false }
    }

    /// Returns the ids of the old rows in the next page, which may be none. Returns `None` at the end of the table.
    ///
    /// The inner query filters by id only, so every planner walks along the primary key and reads each row once.
    fn next(&mut self, conn: &mut DbConnection, prune: &Prune) -> Result<Option<Vec<String>>> {
        if self.is_done {
            return Ok(None);
        }
        let Tree { table, ids, old, .. } = self.tree;
        let first = if *ids == "uuid" { uuid::Uuid::nil().to_string() } else { i64::MIN.to_string() };
        let (compared, after) = match &self.after {
            None => (">=", &first),
            Some(after) => (">", after),
        };
        let sql = format!(
            "SELECT CAST(root.id AS text) AS id, {} AS old FROM \
             (SELECT * FROM {table} WHERE id {compared} '{after}' ORDER BY id LIMIT {PAGE}) AS root ORDER BY root.id",
            case(&filled(conn, old, prune)),
        );
        let rows: Vec<Looked> = on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of(table, "")?;
        self.is_done = rows.len() < PAGE as usize;
        self.after = rows.last().map(|row| row.id.clone());
        Ok(Some(rows.into_iter().filter(|row| row.old == 1).map(|row| row.id).collect()))
    }
}

/// Deletes the rows whose `column` is in `ids`, and returns their number.
///
/// If `condition` is set, only rows that meet this condition on the alias `root` are deleted.
pub(super) fn delete_where(
    conn: &mut DbConnection,
    table: &'static str,
    column: &str,
    id_type: &str,
    ids: &[String],
    condition: Option<&str>,
) -> Result<u64> {
    let list = list(conn, id_type, ids);
    let condition = condition.map(|condition| format!(" AND {}", flag(condition))).unwrap_or_default();
    let sql = format!("DELETE FROM {table} AS root WHERE root.{column} {}{condition}", list.sql);
    let gone = on_backend!(conn, |c| diesel::sql_query(sql).bind::<Text, _>(&list.value).execute(c))
        .of(table, "")?;
    Ok(gone as u64)
}

/// Returns a condition as a number, so that the planner cannot choose an index for it.
fn case(condition: &str) -> String {
    format!("CASE WHEN {condition} THEN 1 ELSE 0 END")
}

fn flag(condition: &str) -> String {
    format!("{} = 1", case(condition))
}

/// An SQL condition that a value is in a list of ids. It uses a single parameter for any number of ids.
struct List {
    sql: String,
    value: String,
}

fn list(conn: &DbConnection, id_type: &str, ids: &[String]) -> List {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => {
            let quote = if id_type == "uuid" { "\"" } else { "" };
            let ids: Vec<String> = ids.iter().map(|id| format!("{quote}{id}{quote}")).collect();
            List {
                sql: "IN (SELECT value FROM json_each(?1))".to_owned(),
                value: format!("[{}]", ids.join(",")),
            }
        }
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => {
            List { sql: format!("= ANY (CAST($1 AS {id_type}[]))"), value: format!("{{{}}}", ids.join(",")) }
        }
    }
}

/// Replaces the placeholders of a condition with timestamps.
fn filled(conn: &DbConnection, condition: &str, prune: &Prune) -> String {
    condition
        .replace("{errors}", &clock::literal(conn, prune.errors_before))
        .replace("{finished}", &clock::literal(conn, prune.finished_before))
}

fn count(conn: &mut DbConnection, sql: &str) -> Result<u64> {
    let row: Count = on_backend!(conn, |c| diesel::sql_query(sql).get_result(c)).of("the database", "")?;
    Ok(u64::try_from(row.rows).unwrap_or_default())
}
