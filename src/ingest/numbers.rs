//! Reads numbers as people and spreadsheets write them: `9,700`, `9.700`, `9 700`, `9'700`, `5,20 %`, `1:02:03`.

/// The decimal mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decimal {
    Point,
    Comma,
}

impl Decimal {
    const fn mark(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }

    /// Returns the decimal mark that a number implies. A number such as `1,5` or `1.234,5` has only one meaning. `1,234` is
    /// ambiguous and gives `None`, except in a column of counts, where the comma must separate thousands.
    pub(super) fn shown_by(text: &str, is_count: bool) -> Option<Self> {
        let digits = Digits::of(text)?;
        let last = digits.last_mark()?;
        let is_sole = digits.marks.len() == 1;
        if digits.is_grouped() {
            return (is_count || !is_sole).then(|| last.other());
        }
        Some(last)
    }
}

/// A number, split at the characters between its digits.
struct Digits<'a> {
    is_negative: bool,
    groups: Vec<&'a str>,
    marks: Vec<char>,
}

impl<'a> Digits<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text.trim().trim_end_matches('%').trim_end();
        let (is_negative, text) = match text.strip_prefix(['-', '\u{2212}']) {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let groups: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).collect();
        let marks: Vec<char> = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let is_number = groups.iter().all(|group| !group.is_empty())
            && marks.iter().all(|c| matches!(c, '.' | ',' | '\'' | '\u{2019}') || is_space(*c));
        is_number.then_some(Self { is_negative, groups, marks })
    }

    fn last_mark(&self) -> Option<Decimal> {
        match self.marks.last()? {
            '.' => Some(Decimal::Point),
            ',' => Some(Decimal::Comma),
            _ => None,
        }
    }

    /// Returns true if all marks separate thousands. Indian grouping, as in `12,34,567`, is accepted.
    fn is_grouped(&self) -> bool {
        is_grouped(&self.groups, &self.marks)
    }

    fn sign(&self) -> &'static str {
        if self.is_negative { "-" } else { "" }
    }
}

fn is_grouped(groups: &[&str], marks: &[char]) -> bool {
    let Some((first, rest)) = groups.split_first() else { return false };
    let Some((last, middle)) = rest.split_last() else { return true };
    (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && middle.iter().all(|group| (2..=3).contains(&group.len()))
        && last.len() == 3
        && marks.windows(2).all(|pair| pair.first() == pair.last())
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}')
}

/// Reads a whole number with any kind of thousands separator. A zero fraction is accepted.
pub(super) fn whole(text: &str) -> Option<i64> {
    let digits = Digits::of(text)?;
    let groups = if digits.is_grouped() {
        digits.groups.as_slice()
    } else {
        let (fraction, groups) = digits.groups.split_last()?;
        let (_, marks) = digits.marks.split_last()?;
        let is_whole = digits.last_mark().is_some() && fraction.bytes().all(|digit| digit == b'0');
        if !is_whole || !(groups.len() == 1 || is_grouped(groups, marks)) {
            return None;
        }
        groups
    };
    // Without thousands separators the number is a single group, which may have any length.
    format!("{}{}", digits.sign(), groups.concat()).parse().ok()
}

/// Rewrites a number, which may have a fraction, as text that Rust can parse.
fn normalized(text: &str, decimal: Decimal) -> Option<String> {
    let digits = Digits::of(text)?;
    let sign = digits.sign();
    let Some(last) = digits.marks.last() else {
        return Some(format!("{sign}{}", digits.groups.concat()));
    };
    let is_sole = digits.marks.len() == 1;
    if digits.is_grouped() && !(is_sole && *last == decimal.mark()) {
        return Some(format!("{sign}{}", digits.groups.concat()));
    }
    digits.last_mark()?;
    let (fraction, groups) = digits.groups.split_last()?;
    let (_, marks) = digits.marks.split_last()?;
    (groups.len() == 1 || (is_grouped(groups, marks) && !marks.contains(last)))
        .then(|| format!("{sign}{}.{fraction}", groups.concat()))
}

/// Reads a number that may have a fraction.
pub(super) fn real(text: &str, decimal: Decimal) -> Option<f64> {
    let plain = text.trim().parse().ok().filter(|_| text.contains(['e', 'E']));
    let number = plain.or_else(|| normalized(text, decimal)?.parse().ok())?;
    f64::is_finite(number).then_some(number)
}

/// Reads a percentage as a fraction of 1: `5.20` becomes 0.052.
pub(super) fn share(text: &str, decimal: Decimal) -> Option<f64> {
    // Scale in the text, because 5.2 / 100.0 is not the float nearest to 0.052.
    let number: f64 = format!("{}e-2", normalized(text, decimal)?).parse().ok()?;
    number.is_finite().then_some(number)
}

/// Reads a duration such as `0:31`, `1:02:03` or `31` and returns its seconds.
pub(super) fn seconds(text: &str, decimal: Decimal) -> Option<f64> {
    let mut parts = text.trim().rsplit(':');
    let mut total = real(parts.next()?, decimal).filter(|seconds| *seconds >= 0.0)?;
    let mut unit = 60.0;
    for part in parts {
        let part = part.trim();
        if unit > 3600.0 || part.is_empty() || !part.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        total += f64::from(part.parse::<u32>().ok()?) * unit;
        unit *= 60.0;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_accept_separators_of_any_locale() {
        for text in [
            "9700",
            "9,700",
            "9.700",
            "9 700",
            "9\u{a0}700",
            "9\u{202f}700",
            "9'700",
            "9’700",
            " 9700 ",
            "9700.0",
            "9,700.00",
            "9.700,0",
            "+9700",
        ] {
            assert_eq!(whole(text), Some(9700), "{text:?}");
        }
        assert_eq!(whole("1,234,567"), Some(1_234_567));
        assert_eq!(whole("12,34,567"), Some(1_234_567));
        assert_eq!(whole("-5"), Some(-5));
        assert_eq!(whole("\u{2212}1.234"), Some(-1234));
        for text in [
            "",
            "-",
            "many",
            "1,2",
            "9,70",
            "1 2",
            "1,234.567,8",
            "1..000",
            "1.5",
            "99999999999999999999",
            "1e3",
            "0x10",
            ",5",
            "1,234 567",
            "٣",
        ] {
            assert_eq!(whole(text), None, "{text:?}");
        }
    }

    #[test]
    fn decimals_use_the_mark_of_the_file() {
        use Decimal::{Comma, Point};
        for (text, decimal, number) in [
            ("140.2", Point, 140.2),
            ("140,2", Comma, 140.2),
            ("140,2", Point, 140.2),
            ("140.2", Comma, 140.2),
            ("1,234", Point, 1234.0),
            ("1,234", Comma, 1.234),
            ("1.234", Comma, 1234.0),
            ("1.234", Point, 1.234),
            ("1.234,5", Point, 1234.5),
            ("1,234.5", Comma, 1234.5),
            ("1\u{202f}234,56", Comma, 1234.56),
            ("1'234.56", Point, 1234.56),
            ("5,20\u{a0}%", Comma, 5.2),
            ("-0.5", Point, -0.5),
            ("1e3", Point, 1000.0),
            ("0.052", Comma, 0.052),
        ] {
            assert_eq!(real(text, decimal), Some(number), "{text:?}");
        }
        for text in ["", "x", "NaN", "inf", "1e999", "1.2.3", "--1", "1,23,4"] {
            assert_eq!(real(text, Point), None, "{text:?}");
        }
        assert_eq!(share("5.20", Point), Some(0.052));
        assert_eq!(share("5,2 %", Comma), Some(0.052));
    }

    #[test]
    fn durations_are_read_as_seconds() {
        for (text, length) in [
            ("0:31", 31.0),
            ("1:02:03", 3723.0),
            ("31", 31.0),
            ("12.5", 12.5),
            ("0:00:12", 12.0),
            ("90:00", 5400.0),
        ] {
            assert_eq!(seconds(text, Decimal::Point), Some(length), "{text:?}");
        }
        assert_eq!(seconds("1:11:11,270", Decimal::Comma), Some(4271.27));
        for text in ["", ":", "1:", ":31", "-1", "a:b", "1:2:3:4", "99999999999:00", "1:-2"] {
            assert_eq!(seconds(text, Decimal::Point), None, "{text:?}");
        }
    }

    #[test]
    fn some_numbers_reveal_the_decimal_mark() {
        use Decimal::{Comma, Point};
        for (text, is_count, shown) in [
            ("9,700", true, Some(Point)),
            ("9.700", true, Some(Comma)),
            ("9,700", false, None),
            ("5.20", false, Some(Point)),
            ("5,20", false, Some(Comma)),
            ("1.234,5", false, Some(Comma)),
            ("1,234,567", false, Some(Point)),
            ("9 700", true, None),
            ("12", true, None),
            ("x", true, None),
        ] {
            assert_eq!(Decimal::shown_by(text, is_count), shown, "{text:?}");
        }
    }
}
