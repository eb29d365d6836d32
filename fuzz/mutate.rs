//! Generates inputs that are almost valid: valid inputs with a few changes.

use proptest::collection::vec;
use proptest::prelude::*;

/// A change to an input. Positions are fractions of its length, so that a change applies to every input.
#[derive(Debug, Clone)]
enum Edit {
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    Double(u16, u16),
    Cut(u16),
    Flip(u16, u8),
}

/// Texts that often break parsers.
const WORDS: [&[u8]; 24] = [
    b"\"",
    b"\"\"",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"\\",
    b"{",
    b"}",
    b"[[[[[[[[",
    b"null",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[31m",
    b"\xf0\x9f\x98\x80",
    b"'",
    b"#",
    b"=",
    b"%",
    b"@",
    b":",
];

fn edit() -> impl Strategy<Value = Edit> {
    let word = (0..WORDS.len()).prop_map(|n| WORDS[n].to_vec());
    let inserted = prop_oneof![4 => word, 1 => vec(any::<u8>(), 1..12)];
    prop_oneof![
        4 => (any::<u16>(), inserted).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<u16>(), any::<u8>()).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(from, to)| Edit::Double(from, to)),
        1 => any::<u16>().prop_map(Edit::Cut),
        2 => (any::<u16>(), 1..=255_u8).prop_map(|(at, bits)| Edit::Flip(at, bits)),
    ]
}

fn apply(mut input: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let place = |at: u16, input: &[u8]| input.len() * usize::from(at) / usize::from(u16::MAX);
        match edit {
            Edit::Insert(at, bytes) => {
                let at = place(*at, &input);
                input.splice(at..at, bytes.iter().copied());
            }
            Edit::Remove(at, count) => {
                let at = place(*at, &input);
                let end = input.len().min(at + usize::from(*count));
                input.drain(at..end);
            }
            Edit::Double(from, to) => {
                let (from, to) = (place(*from.min(to), &input), place(*from.max(to), &input));
                let part = input[from..to.min(from + 4_096)].to_vec();
                input.splice(to..to, part);
            }
            Edit::Cut(at) => input.truncate(place(*at, &input)),
            Edit::Flip(at, bits) => {
                let at = place(*at, &input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bits;
                }
            }
        }
    }
    input
}

/// Returns the inputs of a strategy with up to four changes.
pub fn mutated(base: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (base, vec(edit(), 0..5)).prop_map(|(base, edits)| apply(base, &edits))
}

/// Does the same as [`mutated`] for text.
pub fn mutated_text(base: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    mutated(base.prop_map(String::into_bytes)).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns text as a user, a web page or an attacker might put it into a field.
pub fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 ]{1,20}",
        2 => "\\PC{1,30}",
        1 => "[\"',\\\\\n\r\t;=#$%{}<>]{1,10}",
        1 => Just("\u{1b}[31mred\u{202e}".to_owned()),
    ]
}
