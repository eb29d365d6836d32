//! Reads any CSV as rows of a table. Columns are found by their names, or mapped with `--map`.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::found::{Found, Sink};
use super::niche;
use super::numbers::{self, Decimal};
use super::tabular::{self, Fields, Header, check_map};
use crate::quote::quoted;
use crate::tables::{Kind, Target};
use crate::{Error, Result};

/// Number of rows that are sampled to find the decimal mark.
const SAMPLE: usize = 200;

/// A table column that is filled from a CSV column.
struct Column {
    name: &'static str,
    kind: Kind,
    place: usize,
}

/// The CSV columns to read, and the decimal mark of the file.
pub(super) struct Layout {
    pub(super) target: &'static Target,
    header: Header,
    columns: Vec<Column>,
    decimal: Decimal,
}

impl Layout {
    /// Finds the columns of an input that begins with `head`.
    pub(super) fn of(
        input: &str,
        head: &[u8],
        header: Header,
        target: &'static Target,
        map: &[(String, String)],
    ) -> Result<Self> {
        let known = target.columns();
        check_map(map, target.name(), known.iter().copied())?;
        let mut columns = Vec::new();
        for name in known {
            let place = match header.mapped(input, map, name)? {
                Some(place) => Some(place),
                // A mapped file comes from another program, so its ids are not viraldb ids.
                None if *name == "id" && !map.is_empty() => None,
                None => header.find(&[name]),
            };
            if let Some(place) = place {
                columns.push(Column { name, kind: target.kind(name), place });
            }
        }
        if columns.is_empty() {
            let reason = format!(
                "has no columns that match table {}: its columns are {}; the table's columns are {}; map columns with \
                 --map COLUMN=CSV_COLUMN, or choose another table with --table",
                target.name(),
                header.list(),
                known.join(", ")
            );
            return Err(Error::invalid(input, reason));
        }
        let decimal = decimal(head, &header, &columns);
        Ok(Self { target, header, columns, decimal })
    }

    /// Returns pairs of table column and CSV column.
    pub(super) fn mapping(&self) -> Vec<(String, String)> {
        let pair = |column: &Column| (column.name.to_owned(), self.header.name(column.place).to_owned());
        self.columns.iter().map(pair).collect()
    }
}

/// Returns the decimal mark that most numbers of the first rows show. If they show none, the delimiter decides.
fn decimal(head: &[u8], header: &Header, columns: &[Column]) -> Decimal {
    let (mut points, mut commas) = (0, 0);
    tabular::sample(head, header, SAMPLE, &mut |fields| {
        for column in columns.iter().filter(|column| matches!(column.kind, Kind::Whole | Kind::Real)) {
            match Decimal::shown_by(fields.text(column.place), column.kind == Kind::Whole) {
                Some(Decimal::Point) => points += 1,
                Some(Decimal::Comma) => commas += 1,
                None => {}
            }
        }
    });
    // Spreadsheets use semicolons as delimiters where the comma is the decimal mark.
    if commas > points || (commas == points && header.delimiter == b';') {
        Decimal::Comma
    } else {
        Decimal::Point
    }
}

pub(super) fn read(
    name: &str,
    input: &mut impl BufRead,
    layout: &Layout,
    given_niche: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let convert = |fields: &Fields<'_>| found(fields, layout, given_niche).map(Some);
    tabular::read(name, input, &layout.header, &convert, sink)
}

fn found(fields: &Fields<'_>, layout: &Layout, given_niche: Option<&str>) -> Result<Found, String> {
    let mut document = Map::new();
    for column in &layout.columns {
        let value = value(column.kind, fields.whole_text(column.place), layout.decimal).map_err(|what| {
            let name = layout.header.name(column.place);
            format!("{name} is not {what}: {}", quoted(fields.text(column.place)))
        })?;
        if let Some(value) = value {
            document.insert(column.name.to_owned(), value);
        }
    }
    if layout.target.name() == "discovered_videos" {
        complete_video(&mut document, given_niche);
    }
    let document = layout.target.check(Value::Object(document))?;
    Ok(Found { document: Some(document), ..Default::default() })
}

/// Converts a field. Returns `None` for an empty field. The error names the expected type, such as "a whole number".
fn value(kind: Kind, field: &str, decimal: Decimal) -> Result<Option<Value>, &'static str> {
    let text = field.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let value = match kind {
        Kind::Text => field.into(),
        Kind::Whole => numbers::whole(text).ok_or("a whole number")?.into(),
        Kind::Real => numbers::real(text, decimal).ok_or("a number")?.into(),
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "1" => true.into(),
            "false" | "f" | "no" | "0" => false.into(),
            _ => return Err("true or false"),
        },
        Kind::Json => serde_json::from_str(text).unwrap_or_else(|_| field.into()),
    };
    Ok(Some(value))
}

/// Fills in columns that a hand-made table of videos usually lacks. The URL of a YouTube video is built from its id, the
/// niche from its category. An unknown channel is empty.
fn complete_video(document: &mut Map<String, Value>, given_niche: Option<&str>) {
    let mut set = |column: &str, value: &str| {
        document.entry(column).or_insert_with(|| value.into());
    };
    set("channel_name", "");
    set("channel_id", "");
    if let Some(niche) = given_niche {
        set("niche", niche);
    }
    let category =
        document.get("category_id").and_then(Value::as_i64).and_then(|number| number.try_into().ok());
    document.entry("niche").or_insert_with(|| niche::of(None, category).into());
    let is_id = |id: &&str| {
        id.len() == 11 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let address = document
        .get("video_id")
        .and_then(Value::as_str)
        .filter(is_id)
        .map(|id| format!("https://www.youtube.com/watch?v={id}"));
    if let Some(address) = address {
        document.entry("url").or_insert_with(|| address.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tables::table;

    fn rows(text: &str, of: &str, map: &[(&str, &str)]) -> Result<Vec<Result<Value, String>>, String> {
        let map: Vec<_> = map.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let header = Header::of("in", text.as_bytes()).unwrap();
        let layout = Layout::of("in", text.as_bytes(), header, table(of).unwrap(), &map)
            .map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        read("in", &mut text.as_bytes(), &layout, None, &mut |row| {
            rows.push(row.found.map(|found| Value::Object(found.document.unwrap())));
            Ok(())
        })
        .unwrap();
        Ok(rows)
    }

    #[test]
    fn mapped_columns_win_and_others_are_found_by_name() {
        let text = "Video_ID;Titel;Aufrufe;Wert;Category Id;ID\nAbC123_-xyz;Über \"uns\";9.700;1,5;20;x7\n;b;1;;;\na;b;viele;;;\n";
        let map = [("title", "Titel"), ("view_count", "aufrufe"), ("viral_score", "Wert")];
        let rows = rows(text, "discovered_videos", &map).unwrap();
        assert_eq!(
            rows[0].as_ref().unwrap(),
            &json!({
                "video_id": "AbC123_-xyz", "title": "Über \"uns\"", "channel_name": "", "channel_id": "",
                "url": "https://www.youtube.com/watch?v=AbC123_-xyz", "category_id": 20, "view_count": 9700,
                "viral_score": 1.5, "niche": "gaming",
            })
        );
        assert!(rows[1].as_ref().unwrap_err().contains("missing field `video_id`"), "{rows:?}");
        assert_eq!(rows[2].as_ref().unwrap_err(), "Aufrufe is not a whole number: \"viele\"");
    }

    #[test]
    fn fields_are_converted_to_their_column_type() {
        let text = "platform,external_id,title,views,hashtags,collected_at\ntiktok,7300000000000000001,123,5,\"[\"\"a\"\",1]\",2026-05-01\n";
        let row = rows(text, "trends", &[]).unwrap().remove(0).unwrap();
        assert_eq!((&row["external_id"], &row["views"]), (&"7300000000000000001".into(), &5.into()));
        assert_eq!((&row["hashtags"], &row["title"]), (&json!(["a", 1]), &"123".into()));
        for (kind, field, expected) in [
            (Kind::Bool, "Yes", Some(json!(true))),
            (Kind::Bool, "0", Some(json!(false))),
            (Kind::Json, "plain", Some(json!("plain"))),
            (Kind::Text, " ", None),
            (Kind::Text, " x", Some(json!(" x"))),
            (Kind::Real, "-0.5", Some(json!(-0.5))),
        ] {
            assert_eq!(value(kind, field, Decimal::Point), Ok(expected), "{field:?}");
        }
        assert_eq!(value(Kind::Bool, "maybe", Decimal::Point), Err("true or false"));
        assert_eq!(value(Kind::Real, "x", Decimal::Point), Err("a number"));
    }

    #[test]
    fn unknown_columns_are_reported_with_the_available_ones() {
        let said = rows("a,b\n", "clips", &[]).unwrap_err();
        assert!(
            said.starts_with(
                "in has no columns that match table clips: its columns are \"a\", \"b\"; the table's columns are id,"
            ),
            "{said}"
        );
        let said = rows("a,b\n", "clips", &[("colour", "a")]).unwrap_err();
        assert!(said.starts_with("--map \"colour\" is not a column of clips; its columns are id,"), "{said}");
        let said = rows("a,b\n", "music", &[("artist", "c")]).unwrap_err();
        assert_eq!(said, "in has no column \"c\", which --map refers to; its columns are \"a\", \"b\"");
    }
}
