//! What a list is asked for: filters, order and position.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, Is, Kind, Table, table};
use crate::Engine;
use crate::error::{Error, Result};
use crate::quote::quoted;
use crate::types::{Timestamp, any_of};

/// A condition that the rows of a list meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Name of the column.
    pub column: String,
    /// The comparison.
    pub is: Is,
    /// The value: a number, a time, `true` or `false`, a UUID, or a text.
    pub value: String,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The smallest or oldest value first.
    Asc,
    /// The largest or newest value first.
    #[default]
    Desc,
}

impl Order {
    /// Returns `asc` or `desc`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }

    /// Returns the other order.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }
}

/// A query for one page of a table. See [`page`](super::page).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Name of the table.
    pub table: String,
    /// The conditions, all of which a row must meet.
    pub filters: Vec<Filter>,
    /// The column to sort by, or `None` for the primary key. Rows without a value come last in both orders.
    pub sort: Option<String>,
    /// The order. `None` means newest first, or by name for tables whose primary key is a name.
    pub order: Option<Order>,
    /// The position, from [`Page::next`](super::Page::next) or [`Page::previous`](super::Page::previous); `None` for the first
    /// page.
    pub cursor: Option<String>,
    /// Maximum number of rows, from 1 to [`Query::MOST`].
    pub limit: u32,
    /// How long the query may run before it is stopped.
    pub time_limit: Duration,
}

impl Query {
    /// Maximum number of rows of a page.
    pub const MOST: u32 = 100;
    /// How long a query may run unless it says otherwise: 2 seconds.
    pub const TIME_LIMIT: Duration = Duration::from_secs(2);

    /// Returns the query for the first 50 rows of a table.
    pub fn new(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            filters: Vec::new(),
            sort: None,
            order: None,
            cursor: None,
            limit: 50,
            time_limit: Self::TIME_LIMIT,
        }
    }

    /// Adds a condition.
    #[must_use]
    pub fn with(mut self, column: impl Into<String>, is: Is, value: impl Into<String>) -> Self {
        self.filters.push(Filter { column: column.into(), is, value: value.into() });
        self
    }

    /// Sorts by a column.
    #[must_use]
    pub fn by(self, column: impl Into<String>, order: Order) -> Self {
        Self { sort: Some(column.into()), order: Some(order), ..self }
    }

    /// Continues at a position.
    #[must_use]
    pub fn at(self, cursor: Option<String>) -> Self {
        Self { cursor, ..self }
    }

    /// Reads a query from the parameters of an address, decoded.
    ///
    /// `sort`, `order`, `cursor` and `limit` are the fields of the query. `status=failed` is a condition, as is
    /// `view_count.ge=1000` with one of the [comparisons](Is). The three parameters `where`, `is` and `value` are another
    /// condition, for forms. Conditions without a value are left out.
    ///
    /// # Errors
    /// `Invalid` for an unknown table, column, comparison or order, and for a limit that is not from 1 to 100.
    ///
    /// ```
    /// use viraldb::browse::{Is, Query};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// let query = Query::from_pairs("error_log", [("module", "upload"), ("occurred_at.ge", "2026-12-01"), ("limit", "20")])?;
    /// assert_eq!((query.filters[1].is, query.limit), (Is::Ge, 20));
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        name: &str,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let of = table(name)?;
        let mut query = Self::new(of.name);
        let (mut column, mut is, mut value) = (String::new(), Is::Eq, String::new());
        for (parameter, given) in pairs {
            let (parameter, given) = (parameter.as_ref(), given.as_ref());
            if given.is_empty() {
                continue;
            }
            match parameter {
                "sort" => query.sort = Some(of.column(given)?.name.to_owned()),
                "order" => {
                    query.order = Some(match given {
                        "asc" => Order::Asc,
                        "desc" => Order::Desc,
                        _ => {
                            let reason = format!("unknown order {}; expected asc or desc", quoted(given));
                            return Err(Error::invalid("", reason));
                        }
                    });
                }
                "cursor" => query.cursor = Some(given.to_owned()),
                "limit" => {
                    let limit = given.parse().ok().filter(|limit| (1..=Self::MOST).contains(limit));
                    query.limit = limit.ok_or_else(|| {
                        let reason =
                            format!("must be a whole number from 1 to {}, got {}", Self::MOST, quoted(given));
                        Error::invalid("limit", reason)
                    })?;
                }
                "where" => column = of.column(given)?.name.to_owned(),
                "is" => is = given.parse()?,
                "value" => given.clone_into(&mut value),
                _ => {
                    let (name, is) = match parameter.split_once('.') {
                        Some((name, is)) => (name, is.parse()?),
                        None => (parameter, Is::Eq),
                    };
                    query = query.with(of.column(name)?.name, is, given);
                }
            }
        }
        if column.is_empty() || value.is_empty() {
            return Ok(query);
        }
        Ok(query.with(column, is, value))
    }

    /// Returns the parameters that [`from_pairs`](Self::from_pairs) reads.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for Filter { column, is, value } in &self.filters {
            let name = match is {
                Is::Eq => column.clone(),
                is => format!("{column}.{}", is.as_str()),
            };
            pairs.push((name, value.clone()));
        }
        let fields = [
            ("sort", self.sort.clone()),
            ("order", self.order.map(|order| order.as_str().to_owned())),
            ("limit", (self.limit != 50).then(|| self.limit.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        pairs.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        pairs
    }
}

/// A value that is compared with a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Time(Timestamp),
}

/// Returns a value of the kind of a column.
///
/// # Errors
/// `Invalid` if the text is not such a value.
pub(super) fn value(column: &Column, text: &str) -> Result<Bound> {
    let expected = |what: &str| Error::invalid(column.name, format!("must be {what}, got {}", quoted(text)));
    let trimmed = text.trim();
    Ok(match column.kind {
        Kind::Text | Kind::Json if column.words.is_empty() => Bound::Text(text.to_owned()),
        Kind::Text | Kind::Json => match column.words.contains(&trimmed) {
            true => Bound::Text(trimmed.to_owned()),
            false => return Err(expected(&any_of(&column.words))),
        },
        Kind::Integer => Bound::Integer(trimmed.parse().map_err(|_| expected("a whole number"))?),
        Kind::Number => {
            let number = trimmed.parse().ok().filter(|number: &f64| number.is_finite());
            Bound::Number(number.ok_or_else(|| expected("a number"))?)
        }
        Kind::Boolean => Bound::Boolean(boolean(trimmed).ok_or_else(|| expected("true or false"))?),
        Kind::Time => {
            Bound::Time(trimmed.parse().map_err(|_| expected("a time such as 2026-11-21T08:30:00Z"))?)
        }
        Kind::Uuid => {
            let uuid = uuid::Uuid::parse_str(trimmed).map_err(|_| expected("a UUID"))?;
            Bound::Text(uuid.to_string())
        }
    })
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The order of a checked query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sort<'t> {
    pub(super) column: &'t Column,
    pub(super) order: Order,
    /// True if the list is sorted by the primary key alone.
    pub(super) is_key: bool,
}

/// Checks the order of a query.
pub(super) fn sort<'t>(of: &'t Table, query: &Query) -> Result<Sort<'t>> {
    let key = of.key_column()?;
    let column = query.sort.as_deref().map_or(Ok(key), |name| of.column(name))?;
    let natural = if key.kind == Kind::Text { Order::Asc } else { Order::Desc };
    let sorted = Sort { column, order: query.order.unwrap_or(natural), is_key: column.name == of.key };
    let is_filtered =
        |with: &str| query.filters.iter().any(|filter| filter.column == with && filter.is == Is::Eq);
    match (column.sort, column.sort_with) {
        (true, Some(with)) if !is_filtered(with) => {
            let reason = format!("cannot be sorted by {} unless {with} is filtered by a value", column.name);
            Err(Error::invalid(of.name, reason))
        }
        (true, _) => Ok(sorted),
        (false, _) => {
            let offered = of.columns.iter().filter(|column| column.sort).map(|column| column.name);
            let reason = format!(
                "cannot be sorted by {}, because no index has this order; sort by {}",
                column.name,
                any_of(&offered.collect::<Vec<_>>())
            );
            Err(Error::invalid(of.name, reason))
        }
    }
}

/// A position between two rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Table, column and order that the position belongs to.
    #[serde(rename = "o")]
    pub(super) of: (String, String, Order),
    /// True if the page before the position is wanted.
    #[serde(rename = "b")]
    pub(super) back: bool,
    /// The value of the sorted column, as the database stores it.
    #[serde(rename = "v")]
    pub(super) value: Value,
    /// The column that orders rows with the same value: the primary key, or the row number of SQLite.
    #[serde(rename = "k")]
    pub(super) key: Value,
}

impl Cursor {
    pub(super) fn to_text(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(Error::other)?;
        Ok(Base64UrlUnpadded::encode_string(&json))
    }

    /// Reads the position of a query.
    ///
    /// # Errors
    /// `Invalid` if the text is not a position, or is one of another list.
    pub(super) fn of(of: &Table, sort: &Sort<'_>, engine: Engine, text: &str) -> Result<Self> {
        let invalid =
            |reason: &str| Error::invalid("cursor", format!("{reason}; open the list without a cursor"));
        let json = Base64UrlUnpadded::decode_vec(text).map_err(|_| invalid("is damaged"))?;
        let cursor: Self = serde_json::from_slice(&json).map_err(|_| invalid("is damaged"))?;
        if cursor.of != (of.name.to_owned(), sort.column.name.to_owned(), sort.order) {
            return Err(invalid("belongs to another table or order"));
        }
        let key = of.key_column()?;
        let fits = |column: &Column, value: &Value| match column.kind {
            Kind::Integer => value.is_i64(),
            Kind::Uuid => value.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
            _ => value.is_string(),
        };
        let has_no_value = sort.column.nullable && cursor.value.is_null();
        let is_row_number = engine == Engine::Sqlite && !sort.is_key && !has_no_value && cursor.key.is_i64();
        if !(has_no_value || fits(sort.column, &cursor.value)) || !(is_row_number || fits(key, &cursor.key)) {
            return Err(invalid("is damaged"));
        }
        Ok(cursor)
    }
}
