//! What one application sends and computes, predicted: no message, a flop a row.
use precondor_sdk::core::comm::predict::{Layout, Rank, within};

/// What each rank does in an application.
pub fn application(layout: Layout) -> Vec<Rank> {
    within(layout, |rank| layout.count(rank))
}
