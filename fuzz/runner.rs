//! Runs a property on many inputs, for as long as it is told.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Inputs that are tried in one go.
const ROUND: u32 = 16;
/// Inputs that are tried if no time is given.
const FEW: u64 = 48;
/// The longest message of an error.
const LONGEST: usize = 600;

pub type Outcome = Result<(), TestCaseError>;

/// Tries a property on inputs that `strategy` makes, and panics with the smallest input that breaks it.
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
        // A runner tries its number of inputs once, so each round has a new one.
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

/// Fails unless something holds.
pub fn expect(holds: bool, text: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(TestCaseError::fail(text())) }
}

/// What every message of an error must be: short, and without the secret.
pub fn check_message(message: &str, secret: &str) -> Outcome {
    expect(secret.is_empty() || !message.contains(secret), || {
        format!("the message shows the secret {secret:?}: {message}")
    })?;
    expect(message.len() <= LONGEST, || {
        let begin: String = message.chars().take(200).collect();
        format!("a message of {} bytes: {begin}", message.len())
    })
}
