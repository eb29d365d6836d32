//! `viraldb schema`

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::complete::tables;
use super::words::words;
use super::{Context, Format};
use viraldb::Result;
use viraldb::ops::{self, Domain, TableDescription};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tables to describe [default: all tables of viraldb]
    #[arg(value_name = "TABLE", add = tables())]
    tables: Vec<String>,
    /// Describe only the tables of this group
    #[arg(long, value_name = "DOMAIN", conflicts_with = "tables", value_parser = words(Domain::ALL, Domain::as_str))]
    domain: Option<Domain>,
}

/// What `--format` names besides the formats for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Diagram {
    Mermaid,
    Dot,
    Markdown,
}

/// A column of a table, for formats that have one row per column.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    table: String,
    column: String,
    r#type: String,
    nullable: bool,
    default: Option<String>,
    generated: bool,
    primary_key: bool,
    references: Option<String>,
    comment: Option<String>,
}

const SHOWN: &[&str] = &["table", "column", "type", "nullable", "references", "comment"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        let mut tables = ops::describe(&db, &self.tables)?;
        match self.domain {
            Some(domain) => tables.retain(|table| table.domain == domain),
            None if self.tables.is_empty() => {
                tables.retain(|table| !matches!(table.domain, Domain::Internal | Domain::Other));
            }
            None => {}
        }
        match (context.diagram, context.output.format) {
            (Some(Diagram::Mermaid), _) => context.output.text(&ops::mermaid(&tables))?,
            (Some(Diagram::Dot), _) => context.output.text(&ops::dot(&tables))?,
            (Some(Diagram::Markdown), _) => context.output.text(&ops::markdown(&tables))?,
            (None, Format::Json | Format::Jsonl) => context.output.rows(&tables, &[])?,
            (None, Format::Table | Format::Csv) => {
                let rows: Vec<Row> = tables.iter().flat_map(rows).collect();
                context.list(&rows, SHOWN, "no tables")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn rows(table: &TableDescription) -> impl Iterator<Item = Row> {
    table.columns.iter().map(|column| {
        let key = table.foreign_keys.iter().find(|key| key.columns.contains(&column.name));
        Row {
            table: table.name.clone(),
            column: column.name.clone(),
            r#type: column.kind.clone(),
            nullable: column.nullable,
            default: column.default.clone(),
            generated: column.generated,
            primary_key: column.primary_key,
            references: key.map(|key| key.references.clone()),
            comment: column.comment.clone(),
        }
    })
}
