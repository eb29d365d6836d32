//! Tables.

use maud::{Markup, html};

use crate::browse::Order;

/// A column of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Column<'a> {
    /// The header.
    pub title: &'a str,
    /// True for numbers, which are aligned to the right.
    pub number: bool,
    /// The address that sorts by this column.
    pub sort: Option<&'a str>,
    /// The order, if the table is sorted by this column.
    pub order: Option<Order>,
}

impl<'a> Column<'a> {
    /// Returns a column of texts.
    pub fn text(title: &'a str) -> Self {
        Self { title, ..Self::default() }
    }

    /// Returns a column of numbers.
    pub fn number(title: &'a str) -> Self {
        Self { title, number: true, ..Self::default() }
    }
}

fn aria(order: Order) -> &'static str {
    match order {
        Order::Asc => "ascending",
        Order::Desc => "descending",
    }
}

fn arrow(order: Option<Order>) -> &'static str {
    match order {
        Some(Order::Asc) => " ↑",
        Some(Order::Desc) => " ↓",
        None => " ↕",
    }
}

/// Returns a table. The first cell of each row is its header.
///
/// `caption` names the table for screen readers. A table without rows shows `empty` instead, see
/// [`super::empty`].
pub fn table(caption: &str, columns: &[Column], rows: &[Vec<Markup>], empty: &Markup) -> Markup {
    if rows.is_empty() {
        return empty.clone();
    }
    html! {
        div class="scroll" tabindex="0" role="group" aria-label=(caption) {
            table {
                caption class="hidden" { (caption) }
                thead { tr {
                    @for column in columns {
                        th scope="col" class=[column.number.then_some("num")] aria-sort=[column.order.map(aria)] {
                            @match column.sort {
                                Some(sort) => a href=(sort) { (column.title) span aria-hidden="true" { (arrow(column.order)) } },
                                None => (column.title),
                            }
                        }
                    }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @let number = columns.get(index).is_some_and(|column| column.number);
                                @if index == 0 { th scope="row" { (cell) } }
                                @else { td class=[number.then_some("num")] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
