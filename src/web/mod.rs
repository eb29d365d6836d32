//! The report as an HTML file and the dashboard, for people, and metrics, for monitoring systems.
//!
//! Report and dashboard are rendered from the queries in [`report`](mod@crate::report). Their charts are SVG. The report contains
//! no script.

mod chart;
mod components;
mod layout;
mod metrics;
mod pages;
mod report;
mod sections;
mod serve;

pub use metrics::metrics;
pub use report::{ReportOptions, report, write_report};
pub use serve::{Dashboard, ServeOptions, hash_password};
