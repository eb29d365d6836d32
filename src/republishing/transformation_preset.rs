//! Named sets of parameters for transforming a video.

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
    /// Identifier, a UUID of version 7 when we make it.
    pub id: TransformationPresetId,
    /// Name people choose it by.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Parameters of the transformation.
    pub parameters: Json,
    /// Whether it is used when none is chosen; at most one is.
    pub is_default: bool,
    /// Whether it may be chosen.
    pub is_active: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`TransformationPreset`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = transformation_presets)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`TransformationPreset`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = transformation_presets)]
#[allow(missing_docs)] // as the row's
pub struct TransformationPresetChanges<'a> {
    pub name: Option<Cow<'a, str>>,
    pub description: Option<Option<Cow<'a, str>>>,
    pub parameters: Option<Json>,
    pub is_default: Option<bool>,
    pub is_active: Option<bool>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct TransformationPresetFilter {
    pub is_active: Option<bool>,
}

/// How many rows refer to a preset; they do without it when it is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Queryable)]
pub struct TransformationPresetUses {
    /// Channels whose videos it is used for.
    pub channels: i64,
    /// Videos it was chosen for.
    pub videos: i64,
}

impl TransformationPresetFilter {
    /// The rows that it asks for.
    fn rows(&self) -> transformation_presets::BoxedQuery<'_, MultiBackend> {
        let mut query = transformation_presets::table.into_boxed();
        if let Some(is_active) = self.is_active {
            query = query.filter(transformation_presets::is_active.eq(is_active));
        }
        query
    }
}

impl TransformationPreset {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: TransformationPresetId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("transformation_presets", id)
    }

    /// Rows, newest first; `NotFound` if the row that `page` begins behind is gone.
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
            Self::find(conn, after)?; // a page behind a row that is gone would pass for the last one
        }
        Ok(rows)
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &TransformationPresetFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("transformation_presets", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &TransformationPresetFilter) -> Result<bool> {
        let row: Option<i32> = filter
            .rows()
            .select(1.into_sql::<Int4>())
            .first(conn)
            .optional()
            .of("transformation_presets", "")?;
        Ok(row.is_some())
    }

    /// The presets that may be chosen, by name.
    pub fn active(conn: &mut DbConnection) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(transformation_presets::is_active.eq(true))
                .order((transformation_presets::name, transformation_presets::id))
                .load(c)
        })
        .of("transformation_presets", "")
    }

    /// The preset that is used when none is chosen, if there is one.
    pub fn default_preset(conn: &mut DbConnection) -> Result<Option<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(transformation_presets::is_default.eq(true))
            .first(c)
            .optional())
        .of("transformation_presets", "default")
    }

    /// What refers to a preset.
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

    /// Makes a preset the one that is used when none is chosen, in place of the one that was, and returns
    /// it; `NotFound`, and nothing is changed, if there is none.
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

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: TransformationPresetId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(transformation_presets::table.find(id)).execute(c))
            .of("transformation_presets", id)
    }
}

impl<'a> NewTransformationPreset<'a> {
    /// A preset without parameters, and every other column left to its default.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), parameters: Json(serde_json::json!({})), ..Self::default() }
    }
}

impl NewTransformationPreset<'_> {
    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<TransformationPreset> {
        on_backend!(conn, |c| diesel::insert_into(transformation_presets::table)
            .values(self)
            .returning(TransformationPreset::as_returning())
            .get_result(c))
        .of("transformation_presets", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, transformation_presets::table, "transformation_presets", rows)
    }
}

impl Document for NewTransformationPreset<'static> {
    const TABLE: Table = Table {
        name: "transformation_presets",
        id: Id::Uuid,
        key: &[],
        keep: &[],
        json: &["parameters"],
        times: &["created_at", "updated_at"],
    };
}

impl TransformationPresetChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
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
