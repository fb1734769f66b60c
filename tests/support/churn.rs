//! How much of everything a test does.

/// So many times; `SQUALL_CHURN=100` makes it a hundred times as much.
pub fn times(count: usize) -> usize {
    let factor = std::env::var("SQUALL_CHURN").ok();
    count * factor.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}
