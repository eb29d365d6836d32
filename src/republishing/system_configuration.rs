//! System-wide settings.

use std::borrow::Cow;
use std::fmt;

use diesel::prelude::*;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::db::json_upsert::{self, Document, Id, Seen, Table};
use crate::db::{DbConnection, IDS, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require_indexable};
use crate::schema::system_configuration;
use crate::types::sql::Int4;
use crate::types::{ConfigValue, Timestamp};

/// One row of `system_configuration`. Like [`Sealed`](crate::types::Sealed), it hides an encrypted value when it is printed or
/// serialized.
#[derive(Clone, PartialEq, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = system_configuration, primary_key(key), check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct SystemConfiguration {
    /// Name of the setting.
    pub key: String,
    /// Value of the setting.
    pub value: ConfigValue,
    /// Purpose of the setting.
    pub description: Option<String>,
    /// Whether the value is encrypted; [`secrets`](crate::secrets) decrypts it.
    pub encrypted: bool,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl Serialize for SystemConfiguration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("SystemConfiguration", 6)?;
        row.serialize_field("key", &self.key)?;
        row.serialize_field("value", &self.value.shown(self.encrypted))?;
        row.serialize_field("description", &self.description)?;
        row.serialize_field("encrypted", &self.encrypted)?;
        row.serialize_field("created_at", &self.created_at)?;
        row.serialize_field("updated_at", &self.updated_at)?;
        row.end()
    }
}

impl fmt::Debug for SystemConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemConfiguration")
            .field("key", &self.key)
            .field("value", &self.value.shown(self.encrypted))
            .field("description", &self.description)
            .field("encrypted", &self.encrypted)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .finish()
    }
}

/// A row to insert: `None` means the column's default. See [`SystemConfiguration`] for the fields.
#[derive(Clone, Default, Serialize, Deserialize, Insertable, AsChangeset)]
#[diesel(table_name = system_configuration, primary_key(key))]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewSystemConfiguration<'a> {
    pub key: Cow<'a, str>,
    pub value: ConfigValue,
    pub description: Option<Cow<'a, str>>,
    pub encrypted: Option<bool>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`SystemConfiguration`] for the fields.
#[derive(Clone, Default, AsChangeset)]
#[diesel(table_name = system_configuration)]
#[allow(missing_docs)] // documented on the row
pub struct SystemConfigurationChanges<'a> {
    pub value: Option<ConfigValue>,
    pub description: Option<Option<Cow<'a, str>>>,
    pub encrypted: Option<bool>,
}

/// Hides a value that may be a secret.
impl fmt::Debug for NewSystemConfiguration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSystemConfiguration")
            .field("key", &self.key)
            .field("value", &self.value.shown(self.encrypted == Some(true)))
            .field("description", &self.description)
            .field("encrypted", &self.encrypted)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .finish()
    }
}

/// Hides a value that may be a secret, unless `encrypted` is `Some(false)`.
impl fmt::Debug for SystemConfigurationChanges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemConfigurationChanges")
            .field("value", &self.value.as_ref().map(|value| value.shown(self.encrypted != Some(false))))
            .field("description", &self.description)
            .field("encrypted", &self.encrypted)
            .finish()
    }
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct SystemConfigurationFilter {
    pub encrypted: Option<bool>,
}

impl SystemConfigurationFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> system_configuration::BoxedQuery<'_, MultiBackend> {
        let mut query = system_configuration::table.into_boxed();
        if let Some(encrypted) = self.encrypted {
            query = query.filter(system_configuration::encrypted.eq(encrypted));
        }
        query
    }
}

impl SystemConfiguration {
    /// Returns the row with this key.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no row has this key.
    pub fn find(conn: &mut DbConnection, key: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(key).first(c)).of("system_configuration", key)
    }

    /// Returns the rows with these keys that exist, in no particular order.
    pub(crate) fn find_many(conn: &mut DbConnection, keys: &[&str]) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query().filter(system_configuration::key.eq_any(keys)).load(c))
            .of("system_configuration", "")
    }

    /// Returns one page of the matching rows, ordered by key.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The key `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &SystemConfigurationFilter,
        page: &Page<String>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = &page.after {
            query = query.filter(system_configuration::key.gt(after));
        }
        query
            .select(Self::as_select())
            .order(system_configuration::key)
            .limit(page.at_most())
            .load(conn)
            .of("system_configuration", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &SystemConfigurationFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("system_configuration", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &SystemConfigurationFilter) -> Result<bool> {
        let row: Option<i32> = filter
            .rows()
            .select(1.into_sql::<Int4>())
            .first(conn)
            .optional()
            .of("system_configuration", "")?;
        Ok(row.is_some())
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `system_configuration`.
    pub fn delete(conn: &mut DbConnection, key: &str) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(system_configuration::table.find(key)).execute(c))
            .of("system_configuration", key)
    }
}

impl<'a> NewSystemConfiguration<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(key: impl Into<Cow<'a, str>>, value: ConfigValue) -> Self {
        Self { key: key.into(), value, ..Self::default() }
    }
}

impl NewSystemConfiguration<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("key", Some(&self.key))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if the key already exists;
    /// [`Invalid`](crate::Error::Invalid) if it has more than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<SystemConfiguration> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(system_configuration::table)
            .values(self)
            .returning(SystemConfiguration::as_returning())
            .get_result(c))
        .of("system_configuration", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, system_configuration::table, "system_configuration", rows)
    }

    /// Inserts the row or, if the key exists, updates the columns that are `Some`, and returns it.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the key has more than 2,600 bytes.
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<SystemConfiguration> {
        self.require_indexable()?;
        let row = Self { updated_at: self.updated_at.or_else(|| Some(Timestamp::now())), ..self.clone() };
        on_backend!(conn, |c| {
            diesel::insert_into(system_configuration::table)
                .values(&row)
                .on_conflict(system_configuration::key)
                .do_update()
                .set(&row)
                .returning(SystemConfiguration::as_returning())
                .get_result(c)
        })
        .of("system_configuration", &self.key)
    }
}

impl Document for NewSystemConfiguration<'static> {
    const TABLE: Table = Table {
        name: "system_configuration",
        id: Id::Key,
        key: &["key"],
        origin: &[],
        parents: &[],
        keep: &[],
        json: &["value"],
        times: &["created_at", "updated_at"],
    };

    /// Stores the documents, but refuses to overwrite an encrypted value with plaintext.
    fn store(
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
        seen: &mut Seen,
    ) -> Result<Upserted> {
        let is_plain = |document: &&Map<String, Value>| {
            document.get("encrypted") != Some(&true.into())
                && (document.contains_key("encrypted")
                    || document.get("value").is_some_and(|value| !crate::secrets::is_sealed(value)))
        };
        let plain: Vec<&str> =
            documents.iter().copied().filter(is_plain).filter_map(|row| row.get("key")?.as_str()).collect();
        for keys in plain.chunks(IDS) {
            let sealed: Option<String> = on_backend!(&mut *conn, |c| system_configuration::table
                .filter(system_configuration::key.eq_any(keys).and(system_configuration::encrypted))
                .select(system_configuration::key)
                .first(c)
                .optional())
            .of("system_configuration", "")?;
            if let Some(key) = sealed {
                let reason =
                    "is encrypted and would be overwritten with plaintext; first run `viraldb config unset`";
                return Err(Error::invalid(format!("system_configuration {key}"), reason));
            }
        }
        json_upsert::upsert(conn, &Self::TABLE, documents, seen)
    }
}

impl SystemConfigurationChanges<'_> {
    /// Updates the row with this key and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no row has this key.
    pub fn update(&self, conn: &mut DbConnection, key: &str) -> Result<SystemConfiguration> {
        on_backend!(conn, |c| diesel::update(system_configuration::table.find(key))
            .set((self, system_configuration::updated_at.eq(Timestamp::now())))
            .returning(SystemConfiguration::as_returning())
            .get_result(c))
        .of("system_configuration", key)
    }
}
