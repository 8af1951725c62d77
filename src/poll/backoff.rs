//! How long to wait before an attempt is made again: arithmetic only.

use std::time::Duration;

/// The first wait, before jitter.
const BASE: Duration = Duration::from_millis(500);
/// No wait is longer.
const CAP: Duration = Duration::from_secs(30);

/// The wait before attempt `retry` (1 is the first repetition): doubling from half a second to
/// thirty, spread over its upper half by `chance` (0 to 1) so that many clients do not return in
/// step.
pub(super) fn wait(retry: u32, chance: f64) -> Duration {
    let doublings = retry.saturating_sub(1).min(16);
    let full = BASE.saturating_mul(1 << doublings).min(CAP);
    full.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_half_its_step_nor_longer_than_the_cap(
            retry in 0_u32..=u32::MAX,
            chance in 0.0..=1.0_f64,
        ) {
            let wait = wait(retry, chance);
            prop_assert!(wait >= BASE / 2);
            prop_assert!(wait <= CAP);
        }

        #[test]
        fn waits_do_not_shrink_with_further_retries(retry in 1_u32..100, chance in 0.0..=1.0_f64) {
            prop_assert!(wait(retry + 1, chance) >= wait(retry, chance));
        }
    }
}
