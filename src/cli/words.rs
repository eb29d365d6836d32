//! Arguments that take one of a few words. Help lists the words, shells complete them, and clap suggests the closest word
//! after a typo.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use viraldb::compilation::Processed;

/// Returns a parser for the words of an enum of the library.
pub(super) fn words<T: Copy + Send + Sync>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|value| word(*value))).try_map(move |text| {
        let found = all.iter().find(|value| word(**value) == text);
        found.copied().ok_or_else(|| viraldb::Error::other("the list of words changed"))
    })
}

/// Returns a parser for the status of a discovered video, which is a word or the number that the column holds.
pub(super) fn processed() -> impl TypedValueParser<Value = Processed> {
    let values = [
        PossibleValue::new(Processed::Pending.as_str()).alias("0"),
        PossibleValue::new(Processed::Used.as_str()).alias("1"),
        PossibleValue::new(Processed::Skipped.as_str()).alias("2"),
        PossibleValue::new(Processed::Rejected.as_str()).alias("3"),
    ];
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Processed>())
}
