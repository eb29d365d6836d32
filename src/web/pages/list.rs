//! The list of the tables, and the list of the rows of one.

use maud::{Markup, html};

use super::cells::{address, cell, encoded, is_number, row_path};
use crate::browse::{self, Column, Filter, Is, Kind, Order, Page, Query, Table};
use crate::ops::Domain;
use crate::web::components::{
    Column as Header, choice, empty, pager, panel, section, table, text, wide_panel,
};
use crate::web::sections::{clean, short};

/// The columns that a list shows of the wide tables. Other tables are shown whole, except their JSON documents.
const SHOWN: [(&str, &[&str]); 7] = [
    (
        "discovered_videos",
        &["id", "title", "niche", "channel_name", "view_count", "viral_score", "processed", "discovered_at"],
    ),
    (
        "pipeline_runs",
        &[
            "id",
            "niche",
            "status",
            "cycle_start",
            "started_at",
            "completed_at",
            "retry_count",
            "error_message",
        ],
    ),
    (
        "error_log",
        &["id", "module", "error_type", "error_message", "occurred_at", "resolved", "pipeline_run_id"],
    ),
    (
        "channels",
        &["name", "youtube_channel_id", "is_active", "phase2_enabled", "last_publication_at", "created_at"],
    ),
    (
        "videos",
        &["source_title", "status", "channel_id", "source_platform", "published_at", "created_at", "id"],
    ),
    (
        "video_processing_jobs",
        &["id", "job_type", "status", "attempts", "queued_at", "completed_at", "error_message", "channel_id"],
    ),
    ("trends", &["id", "platform", "title", "creator", "views", "likes", "collected_at"]),
];

/// The domains in their order, with a title.
const DOMAINS: [(Domain, &str); 3] = [
    (Domain::Compilation, "Compilation"),
    (Domain::Republishing, "Republishing"),
    (Domain::Generation, "Generation"),
];

/// Returns the list of the tables.
pub fn tables() -> Markup {
    html! {
        @for (domain, title) in DOMAINS {
            @let rows: Vec<Vec<Markup>> = browse::tables()
                .iter()
                .filter(|table| table.domain == domain)
                .map(|table| vec![
                    html! { a href={ "/tables/" (table.name) } { (table.name) } },
                    html! { (table.comment.unwrap_or_default()) },
                ])
                .collect();
            (section(domain.as_str(), title, "", &panel("", &table(
                title,
                &[Header::text("Table"), Header::text("Each row")],
                &rows,
                &html! {},
            ))))
        }
    }
}

/// Returns a page of a table with its filters. `query` is what was asked for.
pub fn list(page: &Page, query: &Query) -> Markup {
    let Ok(of) = browse::table(page.table) else { return html! {} };
    let path = format!("/tables/{}", of.name);
    let columns = shown(of, page);
    let sorts: Vec<Option<String>> = columns.iter().map(|column| sort(&path, column, page, query)).collect();
    let headers: Vec<Header> = columns
        .iter()
        .zip(&sorts)
        .map(|(column, sort)| Header {
            title: column.name,
            number: is_number(column),
            sort: sort.as_deref(),
            order: (column.name == page.sort).then_some(page.order),
        })
        .collect();
    let rows: Vec<Vec<Markup>> = page
        .rows
        .iter()
        .map(|row| {
            let cells = columns.iter().enumerate().map(|(place, column)| match place {
                0 => html! { a href=(row_path(of.name, row)) { (cell(column, row)) } },
                _ => cell(column, row),
            });
            cells.collect()
        })
        .collect();
    let at = |cursor: &Option<String>| {
        let cursor = cursor.clone()?;
        Some(address(&path, &query.clone().at(Some(cursor)).to_pairs()))
    };
    let first = query.cursor.is_some().then(|| address(&path, &query.clone().at(None).to_pairs()));
    let words = if query.filters.is_empty() && query.cursor.is_none() {
        "The table is empty."
    } else {
        "No row matches."
    };
    let nothing =
        empty(words, &html! { @if !query.filters.is_empty() { a href=(path) { "Remove all filters" } } });
    html! {
        @if let Some(comment) = of.comment { p class="lead" { (comment) } }
        (filters(&path, of, query))
        (wide_panel("", &html! {
            (table(of.name, &headers, &rows, &nothing))
            (pager(
                &crate::quote::counted(page.rows.len(), "row"),
                first.as_deref(),
                at(&page.previous).as_deref(),
                at(&page.next).as_deref(),
            ))
        }))
    }
}

/// Returns the columns that the list shows: the usual ones, and those that it is filtered or sorted by.
fn shown<'t>(of: &'t Table, page: &Page) -> Vec<&'t Column> {
    let usual = SHOWN.iter().find(|(name, _)| *name == of.name).map(|(_, columns)| *columns);
    let mut columns: Vec<&Column> = match usual {
        Some(names) => names.iter().filter_map(|name| of.column(name).ok()).collect(),
        None => of.columns.iter().filter(|column| column.kind != Kind::Json || column.secret).collect(),
    };
    let asked = page.filters.iter().map(|filter| filter.column.as_str()).chain([page.sort]);
    for column in asked.filter_map(|name| of.column(name).ok()) {
        if !columns.iter().any(|shown| shown.name == column.name) {
            columns.push(column);
        }
    }
    columns
}

/// Returns the address that sorts by a column, if the list can be sorted by it.
fn sort(path: &str, column: &Column, page: &Page, query: &Query) -> Option<String> {
    let is_filtered = |with: &str| query.filters.iter().any(|f| f.column == with && f.is == Is::Eq);
    if !column.sort || column.sort_with.is_some_and(|with| !is_filtered(with)) {
        return None;
    }
    let order = if column.name == page.sort { page.order.reversed() } else { Order::Desc };
    Some(address(path, &query.clone().by(column.name, order).at(None).to_pairs()))
}

/// Returns the form that filters the list, and the filters that are in effect.
fn filters(path: &str, of: &Table, query: &Query) -> Markup {
    let choices = || of.columns.iter().filter(|column| is_choice(column));
    let is_choice_of =
        |filter: &Filter| filter.is == Is::Eq && choices().any(|column| column.name == filter.column);
    let other: Vec<&Filter> = query.filters.iter().filter(|filter| !is_choice_of(filter)).collect();
    let fields: Vec<(&str, &str)> = of
        .columns
        .iter()
        .filter(|column| !column.filters.is_empty() && !is_choice(column))
        .map(|column| (column.name, column.name))
        .collect();
    let comparisons: Vec<(&str, &str)> =
        Is::ALL.into_iter().filter(|is| *is != Is::Eq).map(|is| (is.as_str(), words(is))).collect();
    // The form sends the other filters, the order and the number of rows again.
    let kept = Query {
        filters: other.iter().map(|filter| (*filter).clone()).collect(),
        cursor: None,
        ..query.clone()
    };
    html! {
        form class="filters" action=(path) aria-label="Filters" {
            @for (name, value) in kept.to_pairs() { input type="hidden" name=(name) value=(clean(&value)); }
            @for column in choices() {
                @let chosen = query.filters.iter().find(|f| f.is == Is::Eq && f.column == column.name);
                @let chosen = chosen.map_or("", |filter| filter.value.as_str());
                @let options: Vec<(&str, &str)> = match column.kind {
                    Kind::Boolean => vec![("true", "yes"), ("false", "no")],
                    _ => column.words.iter().map(|word| (*word, *word)).collect(),
                };
                (choice(column.name, column.name, "any", &options, chosen))
            }
            (choice("where", "Column", "none", &fields, ""))
            (choice("is", "Comparison", words(Is::Eq), &comparisons, ""))
            (text("value", "Value", ""))
            button type="submit" { "Filter" }
        }
        @if !other.is_empty() {
            ul class="chips" aria-label="Filters in effect" {
                @for filter in &other {
                    @let rest = Query {
                        filters: query.filters.iter().filter(|f| f != filter).cloned().collect(),
                        cursor: None,
                        ..query.clone()
                    };
                    li { a class="button" href=(address(path, &rest.to_pairs())) {
                        (in_words(filter)) " " span aria-hidden="true" { "✕" } span class="hidden" { " remove this filter" }
                    } }
                }
            }
        }
    }
}

/// Returns true if a column gets a field of its own in the form.
fn is_choice(column: &Column) -> bool {
    column.filters.contains(&Is::Eq) && (column.kind == Kind::Boolean || !column.words.is_empty())
}

fn words(is: Is) -> &'static str {
    match is {
        Is::Eq => "is",
        Is::Lt => "less than",
        Is::Le => "at most",
        Is::Gt => "more than",
        Is::Ge => "at least",
        Is::Contains => "contains",
        Is::Starts => "starts with",
        Is::Null => "is empty (true or false)",
    }
}

fn in_words(filter: &Filter) -> String {
    let value = short(&filter.value, 60);
    match (filter.is, value.as_str()) {
        (Is::Null, "true") => format!("{} is empty", filter.column),
        (Is::Null, _) => format!("{} is not empty", filter.column),
        (is, value) => format!("{} {} {value}", filter.column, words(is)),
    }
}

/// Returns the address of a list with one filter.
pub fn filtered(table: &str, column: &str, value: &str) -> String {
    format!("/tables/{table}?{column}={}", encoded(value))
}
