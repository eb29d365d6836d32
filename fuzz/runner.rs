//! Runs a property on many inputs, for the requested time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Number of inputs in one round.
const ROUND: u32 = 16;
/// Number of inputs if no time is given.
const FEW: u64 = 48;
/// Maximum length of an error message, in bytes.
const LONGEST: usize = 600;

pub type Outcome = Result<(), TestCaseError>;

/// Checks a property on inputs that `strategy` generates, and panics with the smallest input that violates it.
pub fn fuzz<S: Strategy>(name: &str, strategy: S, property: impl Fn(S::Value) -> Outcome) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("VIRALDB_FUZZ_SEED").unwrap_or_default();
    let time = number("VIRALDB_FUZZ_SECONDS").map(Duration::from_secs).unwrap_or_default();
    let mut bytes = [0; 32];
    for (byte, from) in bytes.iter_mut().zip(seed.to_le_bytes().into_iter().chain(name.bytes())) {
        *byte = from;
    }
    let config =
        Config { cases: ROUND, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let mut seeds =
        TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (begun, tried) = (Instant::now(), Cell::new(0_u64));
    loop {
        // A runner stops after its number of inputs, so each round needs a new one.
        let mut runner = TestRunner::new_with_rng(config.clone(), seeds.new_rng());
        let done = runner.run(&strategy, |input| {
            tried.set(tried.get() + 1);
            property(input)
        });
        match done {
            Ok(()) => {}
            Err(TestError::Fail(reason, input)) => {
                let tried = tried.get();
                panic!("{name}, seed {seed}, after {tried} inputs: {reason}\nthe smallest input: {input:#?}")
            }
            Err(TestError::Abort(reason)) => panic!("{name}: {reason}"),
        }
        if begun.elapsed() >= time && (!time.is_zero() || tried.get() >= FEW) {
            break;
        }
    }
    println!("{name}: {} inputs in {:.1} s, seed {seed}", tried.get(), begun.elapsed().as_secs_f64());
}

/// Returns a failure with `text` unless `holds` is true.
pub fn expect(holds: bool, text: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(TestCaseError::fail(text())) }
}

/// Checks that an error message is short and does not contain the secret.
pub fn check_message(message: &str, secret: &str) -> Outcome {
    expect(secret.is_empty() || !message.contains(secret), || {
        format!("the message shows the secret {secret:?}: {message}")
    })?;
    expect(message.len() <= LONGEST, || {
        let begin: String = message.chars().take(200).collect();
        format!("the message has {} bytes: {begin}", message.len())
    })
}
