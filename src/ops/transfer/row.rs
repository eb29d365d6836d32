//! The format in which rows are passed on: that of PostgreSQL's `COPY … (FORMAT binary)`.
//!
//! A row begins with the number of its fields in two bytes. Before each field is its length in four bytes, -1 for NULL.
//! `value.rs` describes the contents of a field.

/// The length of a NULL.
const NULL: i32 = -1;

/// Begins a row with the given number of fields.
pub(super) fn begin(row: &mut Vec<u8>, fields: usize) {
    row.extend((fields as i16).to_be_bytes());
}

/// Appends a field that is NULL.
pub(super) fn push_null(row: &mut Vec<u8>) {
    row.extend(NULL.to_be_bytes());
}

/// Appends a field.
pub(super) fn push(row: &mut Vec<u8>, value: &[u8]) {
    row.extend((value.len() as i32).to_be_bytes());
    row.extend(value);
}

/// Iterates over the fields of a row in order. `None` is NULL.
pub(in crate::ops) fn fields(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = row.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, behind) = behind.split_at_checked(length)?;
                rest = behind;
                Some(Some(value))
            }
            Err(_) => {
                rest = behind;
                Some(None)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_a_round_trip() {
        let mut row = Vec::new();
        begin(&mut row, 4);
        push(&mut row, b"one");
        push_null(&mut row);
        push(&mut row, b"");
        push(&mut row, &[0xff; 300]);
        let expected: [Option<&[u8]>; 4] = [Some(b"one"), None, Some(b""), Some(&[0xff; 300])];
        assert!(fields(&row).eq(expected));
        assert_eq!(fields(&row[..row.len() - 1]).count(), 3);
        assert_eq!(fields(&[]).count(), 0);
    }
}
