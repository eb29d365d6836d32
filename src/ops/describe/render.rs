//! Descriptions of tables as diagrams and Markdown.

use std::fmt::Write as _;

use super::{ColumnDescription, Domain, ForeignKey, TableDescription};

/// Returns an ER diagram in the language of Mermaid. Tables that only foreign keys refer to appear without columns.
pub fn mermaid(tables: &[TableDescription]) -> String {
    let mut text = "erDiagram\n".to_owned();
    for table in tables {
        text += &format!("    {} {{\n", name(&table.name));
        for column in &table.columns {
            let kind = word(&column.kind.replace(' ', "_"));
            text += &format!("        {kind} {}", word(&column.name));
            let keys = keys(table, column);
            if !keys.is_empty() {
                text += &format!(" {}", keys.join(", "));
            }
            if let Some(comment) = &column.comment {
                text += &format!(" \"{}\"", one_line(comment).replace('"', "'"));
            }
            text.push('\n');
        }
        text += "    }\n";
    }
    for (table, key) in foreign_keys(tables) {
        // A row of the other table has any number of these; a nullable key may have none of the others.
        let other = if is_optional(table, key) { "|o" } else { "||" };
        let columns = key.columns.join(", ");
        text += &format!(
            "    {} {other}--o{{ {} : \"{}\"\n",
            name(&key.references),
            name(&table.name),
            columns.replace('"', "'")
        );
    }
    text
}

/// Returns an ER diagram in the language of Graphviz, for `dot -Tsvg`.
pub fn dot(tables: &[TableDescription]) -> String {
    let mut text = "digraph viraldb {\n    rankdir=LR;\n    bgcolor=\"white\";\n    node [shape=plaintext, fontname=\"sans-serif\", fontsize=11];\n    \
                    edge [color=\"#888888\", arrowsize=0.7];\n"
        .to_owned();
    for table in tables {
        text += &format!(
            "    {} [label=<<TABLE BORDER=\"0\" CELLBORDER=\"1\" CELLSPACING=\"0\" CELLPADDING=\"4\">\n        \
             <TR><TD BGCOLOR=\"#dde6f0\" COLSPAN=\"2\"><B>{}</B></TD></TR>\n",
            name(&table.name),
            html(&table.name)
        );
        for column in &table.columns {
            let label = match keys(table, column).as_slice() {
                [] => html(&column.name),
                keys => format!("<B>{}</B>&#160;&#160;{}", html(&column.name), keys.join(" ")),
            };
            let optional = if column.nullable { "?" } else { "" };
            text += &format!(
                "        <TR><TD ALIGN=\"LEFT\">{label}</TD><TD ALIGN=\"LEFT\" PORT={}>{}{optional}</TD></TR>\n",
                name(&column.name),
                html(&column.kind)
            );
        }
        text += "    </TABLE>>];\n";
    }
    for (table, key) in foreign_keys(tables) {
        let port = key.columns.first().map(|column| format!(":{}", name(column))).unwrap_or_default();
        let style = if is_optional(table, key) { " [style=dashed]" } else { "" };
        text += &format!("    {}{port} -> {}{style};\n", name(&table.name), name(&key.references));
    }
    text + "}\n"
}

/// Returns Markdown: a section for each domain and each table, with a table of its columns.
pub fn markdown(tables: &[TableDescription]) -> String {
    let mut text = String::new();
    let mut domain: Option<Domain> = None;
    for table in tables {
        if domain != Some(table.domain) {
            domain = Some(table.domain);
            text += &format!("## {}\n\n", capitalized(table.domain.as_str()));
        }
        text += &section(table);
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn section(table: &TableDescription) -> String {
    let mut text = format!("### {}\n\n", cell(&table.name));
    if let Some(comment) = &table.comment {
        text += &format!("{}\n\n", one_line(comment));
    }
    text += "| column | type | | default | |\n|---|---|---|---|---|\n";
    for column in &table.columns {
        let mut rules = keys(table, column);
        if !column.nullable && !column.primary_key {
            rules.push("required");
        }
        if column.generated {
            rules.push("computed");
        }
        let default = column.default.as_deref().filter(|_| !column.generated);
        let default = default.map(|sql| format!("`{}`", cell(sql))).unwrap_or_default();
        let comment = column.comment.as_deref().map(cell).unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {default} | {comment} |",
            cell(&column.name),
            cell(&column.kind),
            rules.join(", ")
        ); // writing to a String does not fail
    }
    text.push('\n');
    for key in &table.foreign_keys {
        let columns = key.columns.join(", ");
        text += &format!(
            "- `{}` refers to `{}`; on delete: {}\n",
            cell(&columns),
            cell(&key.references),
            key.on_delete.as_str().to_lowercase()
        );
    }
    for index in &table.indexes {
        let unique = if index.unique { "unique " } else { "" };
        let partial = if index.partial { ", only some rows" } else { "" };
        text += &format!(
            "- {unique}index `{}` on `{}`{partial}\n",
            cell(&index.name),
            cell(&index.columns.join(", "))
        );
    }
    if !(table.foreign_keys.is_empty() && table.indexes.is_empty()) {
        text.push('\n');
    }
    text
}

fn foreign_keys(tables: &[TableDescription]) -> impl Iterator<Item = (&TableDescription, &ForeignKey)> {
    tables.iter().flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)))
}

/// Returns true if a row may have a foreign key without a value.
fn is_optional(table: &TableDescription, key: &ForeignKey) -> bool {
    table.columns.iter().any(|column| column.nullable && key.columns.contains(&column.name))
}

/// Returns the keys that a column is part of: `PK`, `FK`, or `UK` for a unique index of its own.
fn keys(table: &TableDescription, column: &ColumnDescription) -> Vec<&'static str> {
    let is_foreign = table.foreign_keys.iter().any(|key| key.columns.contains(&column.name));
    let is_unique = table
        .indexes
        .iter()
        .any(|index| index.unique && !index.partial && index.columns == [column.name.clone()]);
    let all = [(column.primary_key, "PK"), (is_foreign, "FK"), (is_unique && !column.primary_key, "UK")];
    all.into_iter().filter(|(is, _)| *is).map(|(_, key)| key).collect()
}

/// Quotes a name for Mermaid and Graphviz.
fn name(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace(['"', '\\'], "_"))
}

/// Returns a name with only the characters that Mermaid allows for types and attributes.
fn word(text: &str) -> String {
    let is_allowed = |c: char| c.is_alphanumeric() || "_-()[],".contains(c);
    text.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect()
}

fn html(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Escapes text so that it stays within its cell of a Markdown table.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|").replace('`', "'")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
