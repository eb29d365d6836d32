//! Tokenizes the SQL text that SQLite stores for each table, so that two texts can be compared regardless of their layout.

use crate::quote::one_line;

/// A word, a quoted string, or an operator.
#[derive(Debug)]
struct Token {
    /// The text for comparison: names and keywords are in lower case and without quotes.
    word: String,
    /// Byte range in the statement.
    from: usize,
    to: usize,
}

/// A statement, split into tokens.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    text: &'a str,
    tokens: Vec<Token>,
}

/// A part of a statement: `words` is for comparison, `shown` for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) words: String,
    pub(super) shown: String,
}

/// A CHECK constraint, or the expression of a generated column, in a CREATE TABLE.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) column: String,
    /// The constraint's name, if it has one.
    pub(super) name: Option<String>,
    pub(super) says: Part,
}

impl<'a> Statement<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        Self { text, tokens: tokens(text) }
    }

    fn part(&self, from: usize, to: usize) -> Part {
        let tokens = self.tokens.get(from..to).unwrap_or_default();
        let words: Vec<&str> = tokens.iter().map(|token| token.word.as_str()).collect();
        let shown = match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => one_line(self.text.get(first.from..last.to).unwrap_or_default()),
            _ => String::new(),
        };
        Part { words: words.join(" "), shown }
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.word.as_str())
    }

    /// Returns true if the statement has this word outside of quoted strings.
    pub(super) fn has(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.word == word)
    }

    /// Returns the part after the first occurrence of a word.
    pub(super) fn behind(&self, word: &str) -> Part {
        let at = self.tokens.iter().position(|token| token.word == word);
        self.part(at.map_or(self.tokens.len(), |at| at + 1), self.tokens.len())
    }

    /// Returns the part from the first occurrence of a word to the end.
    pub(super) fn from(&self, word: &str) -> Part {
        let at = self.tokens.iter().position(|token| token.word == word);
        self.part(at.unwrap_or(self.tokens.len()), self.tokens.len())
    }

    /// Returns the parenthesized expression after each occurrence of a keyword in a CREATE TABLE: `check`, or `as` for
    /// generated columns.
    pub(super) fn rules(&self, keyword: &str) -> Vec<Rule> {
        let mut found = Vec::new();
        let (mut depth, mut column, mut at) = (0, 0, 0);
        while at < self.tokens.len() {
            match self.word(at) {
                "(" => {
                    depth += 1;
                    if depth == 1 {
                        column = at + 1;
                    }
                }
                ")" => depth -= 1,
                "," if depth == 1 => column = at + 1,
                word if word == keyword && depth == 1 && self.word(at + 1) == "(" => {
                    let end = self.closing(at + 1);
                    let name = at.checked_sub(2).filter(|before| self.word(*before) == "constraint");
                    found.push(Rule {
                        column: self.word(column).to_owned(),
                        name: name.map(|before| self.word(before + 1).to_owned()),
                        says: self.part(at + 2, end),
                    });
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Returns the position of the parenthesis that closes the one at `open`.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.word.as_str() {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }
}

/// Normalizes an expression that a pragma returns.
pub(super) fn normal(text: &str) -> String {
    let statement = Statement::parse(text);
    statement.part(0, statement.tokens.len()).words
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let find = |from: usize, what: &str| {
        text.get(from..).and_then(|rest| rest.find(what)).map_or(text.len(), |at| from + at + what.len())
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        let mut quoted = |end: u8| {
            at += 1;
            // A doubled quotation mark is an escaped one.
            while at < bytes.len() && (byte(at) != end || (end != b']' && byte(at + 1) == end)) {
                at += if byte(at) == end { 2 } else { 1 };
            }
            at = (at + 1).min(bytes.len());
            text.get(from..at).unwrap_or_default()
        };
        let word = match byte(from) {
            b'\'' => quoted(b'\'').to_owned(),
            b'"' => unquoted(quoted(b'"')),
            b'`' => unquoted(quoted(b'`')),
            b'[' => unquoted(quoted(b']')),
            b'-' if byte(from + 1) == b'-' => {
                at = find(from, "\n");
                continue;
            }
            b'/' if byte(from + 1) == b'*' => {
                at = find(from + 2, "*/");
                continue;
            }
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b if is_of_word(b) => {
                while at < bytes.len() && (is_of_word(byte(at)) || (b.is_ascii_digit() && byte(at) == b'.')) {
                    at += 1;
                }
                text.get(from..at).unwrap_or_default().to_lowercase()
            }
            b => {
                let is_pair =
                    matches!(&[b, byte(from + 1)], b"||" | b"<>" | b">=" | b"<=" | b"!=" | b"==" | b"->");
                at += if is_pair { 2 } else { 1 };
                text.get(from..at).unwrap_or_default().to_owned()
            }
        };
        found.push(Token { word, from, to: at });
    }
    found
}

/// Returns true if the byte belongs to a name, a keyword or a number. All non-ASCII bytes do.
const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn unquoted(name: &str) -> String {
    let mut inner = name.chars();
    inner.next();
    inner.next_back();
    inner.as_str().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_quotes_and_comments_are_ignored() {
        let one = normal("CHECK (a IN ('x', 'y''z') AND b<>1.5) -- why");
        let other = normal("check( \"A\" in('x','y''z')/* or not */and[b] <> 1.5)");
        assert_eq!(one, other);
        assert_ne!(one, normal("CHECK (a IN ('X', 'y''z') AND b<>1.5)"));
        for odd in ["'", "\"", "[", "/*", "--", "é'é", "a||", "`é"] {
            normal(odd); // must terminate
        }
    }

    #[test]
    fn rules_have_their_column_and_name() {
        let text = "CREATE TABLE t (a INTEGER DEFAULT (1 + 2) CONSTRAINT a_check CHECK (a IN (1, 2)), \
                    \"B\" TEXT CHECK (length(B) > 0), c TEXT GENERATED ALWAYS AS (B || ',') STORED, CHECK (a < 9)) STRICT";
        let statement = Statement::parse(text);
        let found: Vec<_> = statement
            .rules("check")
            .into_iter()
            .map(|rule| (rule.column, rule.name.unwrap_or_default(), rule.says.shown))
            .collect();
        let expected = [("a", "a_check", "a IN (1, 2)"), ("b", "", "length(B) > 0"), ("check", "", "a < 9")];
        assert_eq!(found, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
        let generated = statement.rules("as");
        assert_eq!((generated[0].column.as_str(), generated[0].says.words.as_str()), ("c", "b || ','"));
        assert!(statement.has("strict") && !statement.has("autoincrement"));
    }
}
