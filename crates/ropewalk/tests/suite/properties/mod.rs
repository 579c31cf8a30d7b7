//! What must hold for anything that programs do with channels, selects and topics: tried with programs that are drawn.

mod fan_out;
mod selects;

use proptest::prelude::ProptestConfig;
use proptest::strategy::Strategy;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

use super::support::guarded;

/// Tries `body` with so many drawn inputs. One for which it fails is made as small as it can be, and shown.
#[track_caller]
fn for_any<S: Strategy>(cases: u32, strategy: &S, body: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let tried = guarded(|| {
        TestRunner::new(config).run(strategy, |input| {
            body(input);
            Ok(())
        })
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
}
