//! Settings changed by an operator at run time.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::config_overrides;
use crate::types::Timestamp;
use crate::types::sql::Int4;

/// One row of `config_overrides`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = config_overrides, primary_key(key), check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct ConfigOverride {
    /// Name of the setting.
    pub key: String,
    /// Its value, as text.
    pub value: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who changed it.
    pub updated_by: String,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`ConfigOverride`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable, AsChangeset)]
#[diesel(table_name = config_overrides, primary_key(key))]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
pub struct NewConfigOverride<'a> {
    pub key: Cow<'a, str>,
    pub value: Cow<'a, str>,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<Cow<'a, str>>,
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`ConfigOverride`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = config_overrides)]
#[allow(missing_docs)] // as the row's
pub struct ConfigOverrideChanges<'a> {
    pub value: Option<Cow<'a, str>>,
    pub updated_by: Option<Cow<'a, str>>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct ConfigOverrideFilter<'a> {
    pub updated_by: Option<&'a str>,
}

impl ConfigOverrideFilter<'_> {
    /// The rows that it asks for.
    fn rows(&self) -> config_overrides::BoxedQuery<'_, MultiBackend> {
        let mut query = config_overrides::table.into_boxed();
        if let Some(updated_by) = self.updated_by {
            query = query.filter(config_overrides::updated_by.eq(updated_by));
        }
        query
    }
}

impl ConfigOverride {
    /// The row with this key; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, key: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(key).first(c)).of("config_overrides", key)
    }

    /// The rows with these keys, as far as there are any, in no order.
    pub(crate) fn find_many(conn: &mut DbConnection, keys: &[&str]) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query().filter(config_overrides::key.eq_any(keys)).load(c))
            .of("config_overrides", "")
    }

    /// Rows in the order of their keys.
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

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &ConfigOverrideFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("config_overrides", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &ConfigOverrideFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("config_overrides", "")?;
        Ok(row.is_some())
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, key: &str) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(config_overrides::table.find(key)).execute(c))
            .of("config_overrides", key)
    }
}

impl<'a> NewConfigOverride<'a> {
    /// A row with what it must have, and every other column left to its default.
    pub fn new(key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }
}

impl NewConfigOverride<'_> {
    /// Refuses a text that is too long for an index.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("key", Some(&self.key))
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<ConfigOverride> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(config_overrides::table)
            .values(self)
            .returning(ConfigOverride::as_returning())
            .get_result(c))
        .of("config_overrides", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, config_overrides::table, "config_overrides", rows)
    }

    /// Inserts the row, or gives the one with this key the columns that are `Some`, and returns it.
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
        keep: &[],
        json: &[],
        times: &["updated_at"],
    };
}

impl ConfigOverrideChanges<'_> {
    /// Changes the row with this key and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, key: &str) -> Result<ConfigOverride> {
        on_backend!(conn, |c| diesel::update(config_overrides::table.find(key))
            .set((self, config_overrides::updated_at.eq(Timestamp::now())))
            .returning(ConfigOverride::as_returning())
            .get_result(c))
        .of("config_overrides", key)
    }
}
