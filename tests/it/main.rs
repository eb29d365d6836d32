//! One test binary; every behaviour runs on both engines from one body.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

mod database;
