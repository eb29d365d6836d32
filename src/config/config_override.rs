//! Overrides: settings that an operator changed at run time.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::config_overrides;
use crate::types::Timestamp;
use crate::types::sql::Int4;

/// A row of `config_overrides`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = config_overrides, primary_key(key), check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct ConfigOverride {
    /// Name of the setting.
    pub key: String,
    /// The setting's value, as text.
    pub value: String,
    /// When the row was last changed.
    pub updated_at: Timestamp,
    /// Who last changed the row.
    pub updated_by: String,
}

/// A row to insert: `None` means the column's default. See [`ConfigOverride`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable, AsChangeset)]
#[diesel(table_name = config_overrides, primary_key(key))]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewConfigOverride<'a> {
    pub key: Cow<'a, str>,
    pub value: Cow<'a, str>,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<Cow<'a, str>>,
}

/// Changes to a row: `None` keeps the stored value. See [`ConfigOverride`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = config_overrides)]
#[allow(missing_docs)] // documented on the row
pub struct ConfigOverrideChanges<'a> {
    pub value: Option<Cow<'a, str>>,
    pub updated_by: Option<Cow<'a, str>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ConfigOverrideFilter<'a> {
    pub updated_by: Option<&'a str>,
}

impl ConfigOverrideFilter<'_> {
    /// Returns the query for the matching rows.
    fn rows(&self) -> config_overrides::BoxedQuery<'_, MultiBackend> {
        let mut query = config_overrides::table.into_boxed();
        if let Some(updated_by) = self.updated_by {
            query = query.filter(config_overrides::updated_by.eq(updated_by));
        }
        query
    }
}

impl ConfigOverride {
    /// Returns the row with this key.
    ///
    /// # Errors
    /// `NotFound` if no row has this key.
    pub fn find(conn: &mut DbConnection, key: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(key).first(c)).of("config_overrides", key)
    }

    /// Returns the rows with these keys that exist, in no particular order.
    pub(crate) fn find_many(conn: &mut DbConnection, keys: &[&str]) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query().filter(config_overrides::key.eq_any(keys)).load(c))
            .of("config_overrides", "")
    }

    /// Returns one page of the matching rows, ordered by key.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn list(
        conn: &mut DbConnection,
        filter: &ConfigOverrideFilter<'_>,
        page: &Page<String>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = &page.after {
            query = query.filter(config_overrides::key.gt(after));
        }
        query
            .select(Self::as_select())
            .order(config_overrides::key)
            .limit(page.at_most())
            .load(conn)
            .of("config_overrides", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ConfigOverrideFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("config_overrides", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn exists(conn: &mut DbConnection, filter: &ConfigOverrideFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("config_overrides", "")?;
        Ok(row.is_some())
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn delete(conn: &mut DbConnection, key: &str) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(config_overrides::table.find(key)).execute(c))
            .of("config_overrides", key)
    }
}

impl<'a> NewConfigOverride<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }
}

impl NewConfigOverride<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("key", Some(&self.key))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// `Conflict` if the key exists already, `Invalid` if it is longer than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<ConfigOverride> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(config_overrides::table)
            .values(self)
            .returning(ConfigOverride::as_returning())
            .get_result(c))
        .of("config_overrides", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// `Conflict` if a key exists already or occurs twice, `Invalid` if a key is longer than 2,600 bytes.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, config_overrides::table, "config_overrides", rows)
    }

    /// Inserts the row or, if the key exists, updates the columns that are `Some`, and returns it.
    ///
    /// # Errors
    /// `Invalid` if the key is longer than 2,600 bytes.
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<ConfigOverride> {
        self.require_indexable()?;
        let row = Self { updated_at: self.updated_at.or_else(|| Some(Timestamp::now())), ..self.clone() };
        on_backend!(conn, |c| {
            diesel::insert_into(config_overrides::table)
                .values(&row)
                .on_conflict(config_overrides::key)
                .do_update()
                .set(&row)
                .returning(ConfigOverride::as_returning())
                .get_result(c)
        })
        .of("config_overrides", &self.key)
    }
}

impl Document for NewConfigOverride<'static> {
    const TABLE: Table = Table {
        name: "config_overrides",
        id: Id::Key,
        key: &["key"],
        origin: &[],
        parents: &[],
        keep: &[],
        json: &[],
        times: &["updated_at"],
    };
}

impl ConfigOverrideChanges<'_> {
    /// Updates the row with this key and returns it.
    ///
    /// # Errors
    /// `NotFound` if no row has this key.
    pub fn update(&self, conn: &mut DbConnection, key: &str) -> Result<ConfigOverride> {
        on_backend!(conn, |c| diesel::update(config_overrides::table.find(key))
            .set((self, config_overrides::updated_at.eq(Timestamp::now())))
            .returning(ConfigOverride::as_returning())
            .get_result(c))
        .of("config_overrides", key)
    }
}
