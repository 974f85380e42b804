//! What one application sends and computes on the seven-point matrix of a grid, predicted: no message; 2 flops an
//! entry of the block of A, less 1 a row, where there is no fill.
use crate::ilu::{Matching, Params};
use precondor_sdk::core::comm::predict::{Layout, Rank, Stencil, within};

/// An application of IC(0).
pub fn ic(layout: Layout) -> Vec<Rank> {
    let seven = Stencil::seven();
    within(layout, |rank| 2 * seven.entries_within(layout, rank) - layout.count(rank))
}

/// An application of ILU(0), whose factors take as much; none where something else is asked for.
pub fn ilu(layout: Layout, params: &Params) -> Option<Vec<Rank>> {
    let Params {
        level,
        drop_tolerance,
        max_fill,
        fill_factor,
        pivoting,
        shift,
        ordering,
        matching,
    } = params;
    let plain = [drop_tolerance, fill_factor, pivoting, shift].iter().all(|given| given.is_none())
        && max_fill.is_none()
        && ordering.is_none()
        && *matching == Matching::Auto;
    (plain && level.unwrap_or(0) == 0).then(|| ic(layout))
}
