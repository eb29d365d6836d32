//! A canonical form of JSON documents.
//!
//! The engines store a document differently. SQLite stores its text as written. PostgreSQL's `jsonb` sorts the keys, stores
//! each key once, and stores numbers as decimals. The digest of a row must not depend on this.

use std::collections::BTreeMap;

/// Maximum nesting depth of documents that SQLite can read.
const DEEPEST: usize = 1_000;

/// Appends the canonical form of a document, which is the same for all equal documents.
///
/// If a key occurs twice, the last one counts. The order of keys and the escapes in strings do not matter, and `1.50`
/// equals `15e-1`.
pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut parser = Parser { text, at: 0 };
    parser.value(DEEPEST, out)?;
    parser.space();
    if parser.at == text.len() { Ok(()) } else { Err("is not a valid JSON document") }
}

/// Returns true if the text is not JSON. Well-formed text may still exceed the limits of a database.
pub(super) fn is_malformed(text: &[u8]) -> bool {
    canonical(text, &mut Vec::new()) == Err(MALFORMED)
}

/// Maximum nesting depth that serde_json reads.
const LEVELS: usize = 127;

/// The number of digits that a 64-bit number can always store exactly.
const DIGITS: usize = 15;

/// Returns an error for a document that serde_json cannot read without loss: it is nested too deeply, or a number has too
/// many digits.
pub(super) fn require_readable(text: &[u8]) -> Result<(), &'static str> {
    if is_plain(text) || is_malformed(text) {
        return Ok(()); // malformed JSON is the bare text of a setting
    }
    let value: serde_json::Value = serde_json::from_slice(text)
        .map_err(|_| "is nested deeper than 127 levels or contains a number that is too large for 64 bits")?;
    let (mut kept, mut given) = (Vec::new(), Vec::new());
    canonical(value.to_string().as_bytes(), &mut kept)?;
    canonical(text, &mut given)?;
    if kept == given { Ok(()) } else { Err("contains a number with more digits than 64 bits can store") }
}

/// Returns true if a quick scan shows that a document has few levels and short numbers.
///
/// The scan does not distinguish strings from other parts, so it may return false for a plain document.
fn is_plain(text: &[u8]) -> bool {
    let levels = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut numbers = text.split(|byte| !is_digit(byte)).map(<[u8]>::len);
    let has_exponent =
        text.windows(2).any(|pair| matches!(pair, [digit, b'e' | b'E'] if digit.is_ascii_digit()));
    levels <= LEVELS && !has_exponent && numbers.all(|digits| digits <= DIGITS)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

const MALFORMED: &str = "is not a valid JSON document";

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Skips spaces and the expected byte after them.
    fn expect(&mut self, byte: u8) -> Result<(), &'static str> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(MALFORMED);
        }
        self.at += 1;
        Ok(())
    }

    /// Returns true at the end of a list or an object. Otherwise skips the comma before its next element.
    fn ends(&mut self, end: u8, is_first: bool) -> Result<bool, &'static str> {
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(true);
        }
        if !is_first {
            self.expect(b',')?;
        }
        Ok(false)
    }

    fn value(&mut self, deeper: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let deeper =
            deeper.checked_sub(1).ok_or("is nested deeper than 1,000 levels, which SQLite cannot read")?;
        self.space();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let mut members = BTreeMap::new();
                while !self.ends(b'}', members.is_empty())? {
                    let (mut key, mut value) = (Vec::new(), Vec::new());
                    self.space();
                    self.string(&mut key)?;
                    self.expect(b':')?;
                    self.value(deeper, &mut value)?;
                    members.insert(key, value);
                }
                out.push(b'{');
                members.into_iter().for_each(|(key, value)| {
                    out.extend(key);
                    out.extend(value);
                });
                out.push(b'}');
            }
            Some(b'[') => {
                self.at += 1;
                out.push(b'[');
                let mut is_first = true;
                while !self.ends(b']', is_first)? {
                    self.value(deeper, out)?;
                    is_first = false;
                }
                out.push(b']');
            }
            Some(b'"') => self.string(out)?,
            Some(b't') => self.word(b"true", out)?,
            Some(b'f') => self.word(b"false", out)?,
            Some(b'n') => self.word(b"null", out)?,
            _ => self.number(out)?,
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(MALFORMED);
        }
        self.at += word.len();
        out.extend(word);
        Ok(())
    }

    /// Appends a string with its escapes resolved, preceded by its length.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.peek() != Some(b'"') {
            return Err(MALFORMED);
        }
        self.at += 1;
        out.push(b'"');
        let length_at = out.len();
        out.extend([0; 8]);
        loop {
            match self.peek().ok_or(MALFORMED)? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    self.escape(out)?;
                }
                byte if byte < b' ' => return Err(MALFORMED),
                byte => {
                    self.at += 1;
                    out.push(byte);
                }
            }
        }
        self.at += 1;
        let length = (out.len() - length_at - 8).to_be_bytes();
        if let Some(place) = out.get_mut(length_at..length_at + 8) {
            place.copy_from_slice(&length);
        }
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = self.peek().ok_or(MALFORMED)?;
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = self.hex()?;
                // A surrogate pair encodes a character above U+FFFF.
                if (0xd800..0xdc00).contains(&code)
                    && self.text.get(self.at..).is_some_and(|t| t.starts_with(b"\\u"))
                {
                    self.at += 2;
                    let low = self.hex()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(HALF);
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                let character = char::from_u32(code).ok_or(HALF)?;
                out.extend(character.encode_utf8(&mut [0; 4]).bytes());
                return Ok(());
            }
            _ => return Err(MALFORMED),
        });
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(MALFORMED)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(MALFORMED)?;
            Ok(code * 16 + digit)
        })
    }

    /// Appends a number as its digits, without leading and trailing zeros, and a power of ten.
    fn number(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let mut digits = Vec::new();
        let whole = self.digits(&mut digits);
        let fraction = match self.peek() {
            Some(b'.') => {
                self.at += 1;
                Some(self.digits(&mut digits))
            }
            _ => None,
        };
        if whole == 0 || fraction == Some(0) {
            return Err(MALFORMED);
        }
        let mut exponent = self.exponent()?.saturating_sub_unsigned(fraction.unwrap_or_default() as u64);
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        if digits.is_empty() {
            out.extend(b"0;");
            return Ok(());
        }
        if is_negative {
            out.push(b'-');
        }
        out.extend(digits.get(zeros..).unwrap_or_default());
        out.extend(format!("e{exponent};").bytes());
        Ok(())
    }

    /// Skips digits, appends them to `into`, and returns their number.
    fn digits(&mut self, into: &mut Vec<u8>) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        into.extend(rest.get(..count).unwrap_or_default());
        self.at += count;
        count
    }

    fn exponent(&mut self) -> Result<i64, &'static str> {
        if !matches!(self.peek(), Some(b'e' | b'E')) {
            return Ok(0);
        }
        self.at += 1;
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
        let mut digits = Vec::new();
        if self.digits(&mut digits) == 0 {
            return Err(MALFORMED);
        }
        let exponent = digits
            .iter()
            .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
        Ok(if is_negative { -exponent } else { exponent })
    }
}

const HALF: &str = "contains an unpaired surrogate (\\ud800 to \\udfff)";

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        canonical(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn equal_documents_have_the_same_form() {
        for (one, other) in [
            (r#"{"a": 1, "bb": [true, null]}"#, "{\"bb\":[true,null]\n,\"a\":1}"),
            (r#"{"a": 1, "a": 2}"#, r#"{"a": 2}"#),
            (r#""\u00e9\ud83d\ude00\n\/""#, "\"é😀\\n/\""),
            ("1.50", "15e-1"),
            ("-0.0", "0"),
            ("0.00120E+3", "1.2"),
            ("100", "1E2"),
            ("[ ]", "[]"),
            ("{ }", "{}"),
        ] {
            assert_eq!(form(one).unwrap(), form(other).unwrap(), "{one} {other}");
        }
    }

    #[test]
    fn different_documents_have_different_forms() {
        let different = [
            "1",
            "-1",
            "10",
            "0.1",
            "\"1\"",
            "[1]",
            "[[1]]",
            "[1,1]",
            "[]",
            "{}",
            "[{}]",
            "null",
            "true",
            "false",
            "\"\"",
            "\"null\"",
            "[\"a\",\"b\"]",
            "[\"ab\"]",
            "[\"a\\\"b\"]",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":{}}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{},"b":1}"#,
            "12345678901234567890",
            "12345678901234567891",
            "1e400",
            "1e401",
            "0.1000000000000000000000000000000001",
        ];
        let forms: std::collections::HashSet<Vec<u8>> =
            different.iter().map(|text| form(text).unwrap()).collect();
        assert_eq!(forms.len(), different.len());
    }

    #[test]
    fn malformed_documents_are_rejected() {
        for text in [
            "",
            "on",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{1:2}",
            "1 2",
            "\"a",
            "-",
            "1.",
            ".5",
            "1e",
            "tru",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\nb\"",
        ] {
            assert_eq!(form(text), Err(MALFORMED), "{text}");
        }
        assert_eq!(form(r#""\ud800""#), Err(HALF));
        assert_eq!(form(r#""\ud800\u0041""#), Err(HALF));
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(form(&nested(DEEPEST)).is_ok());
        assert!(form(&nested(DEEPEST + 1)).unwrap_err().contains("nested deeper"));
    }

    #[test]
    fn documents_that_serde_would_change_are_rejected() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        for text in [
            "1",
            "-0.5",
            "1e3",
            "1.0E-7",
            "123456789012345",
            "9007199254740993",
            "18446744073709551615",
            "0.1234567890123456",
            "\"12345678901234567890 1e400 [[[\"",
            r#"{"a": {"a": [1, 2.50]}}"#,
            &nested(LEVELS),
        ] {
            assert_eq!(require_readable(text.as_bytes()), Ok(()), "{text}");
        }
        for text in
            ["1e400", "123456789012345678901234567890", "0.12345678901234567890123", "[9007199254740993.5]"]
        {
            assert!(require_readable(text.as_bytes()).is_err(), "{text}");
        }
        assert!(require_readable(nested(LEVELS + 1).as_bytes()).unwrap_err().contains("127 levels"));
    }
}
