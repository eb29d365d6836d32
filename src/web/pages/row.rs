//! The page of a row of any table.

use maud::{Markup, html};

use super::cells::{facts, path};
use super::list::filtered;
use crate::browse::{self, Row, Table};
use crate::web::components::wide_panel;

/// Returns the page of a row: all its columns, and links to the rows that refer to it.
pub fn row(of: &Table, row: &Row, actions: Option<&Markup>) -> Markup {
    let refer: Vec<(&str, &str)> = browse::tables()
        .iter()
        .flat_map(|table| table.columns.iter().map(move |column| (table.name, column)))
        .filter(|(_, column)| column.references == Some(of.name))
        .map(|(table, column)| (table, column.name))
        .collect();
    html! {
        @if let Some(comment) = of.comment { p class="lead" { (comment) } }
        @if let Some(actions) = actions { div class="actions" { (actions) } }
        (wide_panel("", &facts(of, row, &[])))
        @if !refer.is_empty() {
            h2 { "Rows that refer to it" }
            ul class="chips" {
                @for (table, column) in refer {
                    li { a class="button" href=(filtered(table, column, &row.key)) { (table) } }
                }
            }
        }
        p { a href={ "/tables/" (of.name) } { "All rows of " (of.name) } }
    }
}

/// Returns a link to a row with its title, or its key.
pub fn link(table: &str, row: &Row, title: &str) -> Markup {
    let title = super::cells::text_of(row, title).filter(|title| !title.trim().is_empty());
    let shown = title.map_or_else(|| row.key.clone(), |title| crate::web::sections::short(title, 80));
    html! { a href=(path(table, &row.key)) { (shown) } }
}
