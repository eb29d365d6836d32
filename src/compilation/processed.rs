//! The status of a discovered video.

use std::fmt;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Integer;
use serde::{Deserialize, Serialize};

use crate::types::unknown_word;
use crate::{Error, Result};

/// Whether a discovered video was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Integer)]
#[serde(try_from = "i32", into = "i32")]
#[repr(i32)]
pub enum Processed {
    /// Not used yet.
    Pending = 0,
    /// Used in a compilation.
    Used = 1,
    /// Passed over, for example left out in a review.
    Skipped = 2,
    /// Must not be used.
    Rejected = 3,
}

impl Processed {
    /// Every status, in the order of the CHECK constraint.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Used, Self::Skipped, Self::Rejected];

    /// Returns the name of the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Used => "used",
            Self::Skipped => "skipped",
            Self::Rejected => "rejected",
        }
    }
}

impl From<Processed> for i32 {
    fn from(status: Processed) -> Self {
        status as Self
    }
}

impl TryFrom<i32> for Processed {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self> {
        let known = Self::ALL.iter().find(|status| **status as i32 == number);
        known.copied().ok_or_else(|| {
            Error::invalid(
                "",
                format!(
                    "unknown status {number}; expected 0 (pending), 1 (used), 2 (skipped) or 3 (rejected)"
                ),
            )
        })
    }
}

impl fmt::Display for Processed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Processed {
    type Err = Error;

    /// Parses the name or the number.
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse::<i32>() {
            return number.try_into();
        }
        let known = Self::ALL.iter().find(|status| status.as_str() == text);
        known
            .copied()
            .ok_or_else(|| unknown_word(text, &Self::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>()))
    }
}

impl<DB: Backend> ToSql<Integer, DB> for Processed
where
    i32: ToSql<Integer, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        match self {
            Self::Pending => 0.to_sql(out),
            Self::Used => 1.to_sql(out),
            Self::Skipped => 2.to_sql(out),
            Self::Rejected => 3.to_sql(out),
        }
    }
}

impl<DB: Backend> FromSql<Integer, DB> for Processed
where
    i32: FromSql<Integer, DB>,
{
    fn from_sql(raw: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(i32::from_sql(raw)?.try_into()?)
    }
}
