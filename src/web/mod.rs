//! The report as an HTML file, for people, and metrics, for monitoring systems.
//!
//! The report is rendered from the queries in [`report`](mod@crate::report). It contains no script, and its charts are SVG.

mod chart;
mod components;
mod layout;
mod metrics;
mod report;
mod sections;

pub use metrics::metrics;
pub use report::{ReportOptions, report, write_report};
