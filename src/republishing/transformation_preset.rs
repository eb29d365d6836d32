//! Transformation presets: named sets of parameters for transforming a video.

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::{channels, transformation_presets, videos};
use crate::types::sql::{Bool, Int4, Uuid};
use crate::types::{Json, Timestamp, TransformationPresetId};

/// One row of `transformation_presets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = transformation_presets, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct TransformationPreset {
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: TransformationPresetId,
    /// Name by which people choose the preset.
    pub name: String,
    /// Purpose of the preset.
    pub description: Option<String>,
    /// Parameters of the transformation.
    pub parameters: Json,
    /// Whether the preset is used when none is chosen. At most one preset is the default.
    pub is_default: bool,
    /// Whether the preset may be chosen.
    pub is_active: bool,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`TransformationPreset`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = transformation_presets)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewTransformationPreset<'a> {
    #[serde(default)]
    pub id: TransformationPresetId,
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    pub parameters: Json,
    pub is_default: Option<bool>,
    pub is_active: Option<bool>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`TransformationPreset`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = transformation_presets)]
#[allow(missing_docs)] // documented on the row
pub struct TransformationPresetChanges<'a> {
    pub name: Option<Cow<'a, str>>,
    pub description: Option<Option<Cow<'a, str>>>,
    pub parameters: Option<Json>,
    pub is_default: Option<bool>,
    pub is_active: Option<bool>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct TransformationPresetFilter {
    pub is_active: Option<bool>,
}

/// The number of rows that refer to a preset. If the preset is deleted, their reference becomes NULL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Queryable)]
pub struct TransformationPresetUses {
    /// Channels that use the preset for their videos.
    pub channels: i64,
    /// Videos that use the preset.
    pub videos: i64,
}

impl TransformationPresetFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> transformation_presets::BoxedQuery<'_, MultiBackend> {
        let mut query = transformation_presets::table.into_boxed();
        if let Some(is_active) = self.is_active {
            query = query.filter(transformation_presets::is_active.eq(is_active));
        }
        query
    }
}

impl TransformationPreset {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no preset has this id.
    pub fn find(conn: &mut DbConnection, id: TransformationPresetId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("transformation_presets", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
    pub fn list(
        conn: &mut DbConnection,
        filter: &TransformationPresetFilter,
        page: &Page<TransformationPresetId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(sql::<Bool>("(transformation_presets.created_at, transformation_presets.id) < (SELECT created_at, id FROM transformation_presets WHERE id = ").bind::<Uuid, _>(after).sql(")"));
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((transformation_presets::created_at.desc(), transformation_presets::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("transformation_presets", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &TransformationPresetFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("transformation_presets", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &TransformationPresetFilter) -> Result<bool> {
        let row: Option<i32> = filter
            .rows()
            .select(1.into_sql::<Int4>())
            .first(conn)
            .optional()
            .of("transformation_presets", "")?;
        Ok(row.is_some())
    }

    /// Returns the presets that may be chosen, ordered by name.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn active(conn: &mut DbConnection) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(transformation_presets::is_active.eq(true))
                .order((transformation_presets::name, transformation_presets::id))
                .load(c)
        })
        .of("transformation_presets", "")
    }

    /// Returns the preset that is used when none is chosen, or `None` if no preset is the default.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn default_preset(conn: &mut DbConnection) -> Result<Option<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(transformation_presets::is_default.eq(true))
            .first(c)
            .optional())
        .of("transformation_presets", "default")
    }

    /// Returns how many rows refer to a preset.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A preset that does not
    /// exist has no uses.
    pub fn uses(conn: &mut DbConnection, id: TransformationPresetId) -> Result<TransformationPresetUses> {
        on_backend!(conn, |c| diesel::select((
            channels::table
                .filter(channels::effect_preset_id.eq(id))
                .count()
                .single_value()
                .assume_not_null(),
            videos::table
                .filter(videos::transformation_preset_id.eq(id))
                .count()
                .single_value()
                .assume_not_null(),
        ))
        .get_result(c))
        .of("transformation_presets", id)
    }

    /// Makes a preset the default, replacing the previous default, and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the preset does not exist. Then nothing is changed.
    pub fn set_default(conn: &mut DbConnection, id: TransformationPresetId) -> Result<Self> {
        use transformation_presets::{is_default, updated_at};
        conn.atomically(|conn| {
            let now = Timestamp::now();
            on_backend!(conn, |c| {
                diesel::update(transformation_presets::table)
                    .filter(is_default.eq(true).and(transformation_presets::id.ne(id)))
                    .set((is_default.eq(false), updated_at.eq(now)))
                    .execute(c)?;
                diesel::update(transformation_presets::table.find(id))
                    .set((is_default.eq(true), updated_at.eq(now)))
                    .returning(Self::as_returning())
                    .get_result(c)
            })
            .of("transformation_presets", id)
        })
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). In channels and videos
    /// that use the preset, the reference becomes NULL.
    pub fn delete(conn: &mut DbConnection, id: TransformationPresetId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(transformation_presets::table.find(id)).execute(c))
            .of("transformation_presets", id)
    }
}

impl<'a> NewTransformationPreset<'a> {
    /// Creates a preset without parameters. Every other column gets its default.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), parameters: Json(serde_json::json!({})), ..Self::default() }
    }
}

impl NewTransformationPreset<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `id` already exists, or if `is_default` is set and
    /// another preset is the default.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<TransformationPreset> {
        on_backend!(conn, |c| diesel::insert_into(transformation_presets::table)
            .values(self)
            .returning(TransformationPreset::as_returning())
            .get_result(c))
        .of("transformation_presets", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, transformation_presets::table, "transformation_presets", rows)
    }
}

impl Document for NewTransformationPreset<'static> {
    const TABLE: Table = Table {
        name: "transformation_presets",
        id: Id::Uuid,
        key: &[],
        origin: &[],
        parents: &[],
        keep: &[],
        json: &["parameters"],
        times: &["created_at", "updated_at"],
    };
}

impl TransformationPresetChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no preset has this id;
    /// [`Conflict`](crate::Error::Conflict) if it would become a second default, so use
    /// [`TransformationPreset::set_default`].
    pub fn update(
        &self,
        conn: &mut DbConnection,
        id: TransformationPresetId,
    ) -> Result<TransformationPreset> {
        on_backend!(conn, |c| diesel::update(transformation_presets::table.find(id))
            .set((self, transformation_presets::updated_at.eq(Timestamp::now())))
            .returning(TransformationPreset::as_returning())
            .get_result(c))
        .of("transformation_presets", id)
    }
}
