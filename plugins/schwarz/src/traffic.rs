//! What one application sends and computes on the seven-point matrix of a grid, predicted, with IC(0) or ILU(0) on
//! each block: an exchange of the rows around, one back unless corrections are restricted, the substitutions with
//! the block's factors, and 2 flops a row for weights. How far blocks reach is a power of A.
use crate::{Params, Variant};
use precondor_sdk::core::comm::count::{Flow, Traffic};
use precondor_sdk::core::comm::predict::{Layout, Rank, Stencil};
use precondor_sdk::core::schema::named_method;
use std::ops::Range;

/// What each rank does in an application; none where there is no formula.
pub fn application(layout: Layout, params: &Params) -> Option<Vec<Rank>> {
    let (name, inner) = named_method(&params.method)?;
    let plain = inner.as_object()?.iter().all(|(key, value)| key == "level" && *value == 0);
    // Whether corrections go back, and how many flops a row of the block the weights take.
    let (back, weights) = match (name.as_str(), params.variant) {
        ("ic", None | Some(Variant::Weighted)) => (true, 2),
        ("ic", Some(Variant::Additive)) => (true, 0),
        ("ic" | "ilu", Some(Variant::Restricted)) | ("ilu", None) => (false, 0),
        _ => return None,
    };
    if !plain {
        return None;
    }
    let seven = Stencil::seven();
    let reach = seven.power(params.overlap);
    let bring = reach.halo(layout);
    let overlapping = bring.iter().any(|flow| flow.messages > 0);
    let rank = |rank: u64| {
        let ghosts = reach.ghosts(layout, rank);
        let outside: u64 = ghosts.iter().map(|range: &Range<u64>| range.end - range.start).sum();
        let rows = layout.count(rank) + outside;
        let mut block = ghosts;
        block.push(layout.rows(rank));
        // The factors of ILU(0) and of IC(0), diagonals and all, take as many.
        let entries = seven.entries_among(layout.m, &block);
        let (mut exchange, mut flops) = (Flow::default(), 2 * entries - rows);
        if overlapping {
            flops += weights * rows;
            exchange = bring[rank as usize];
            if back {
                exchange.calls += 1;
                exchange.messages += reach.owners(layout, rank);
                exchange.bytes += 8 * outside;
            }
        }
        Rank { traffic: Traffic { exchange, ..Traffic::default() }, flops }
    };
    Some((0..layout.p).map(rank).collect())
}
