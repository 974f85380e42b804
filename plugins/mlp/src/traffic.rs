//! What one application of the shipped models sends and computes on the seven-point matrix of a grid with a constant
//! coefficient, predicted.
use crate::reference::coefficient::Source;
use crate::reference::pgp::Variant;
use crate::{fsai, reference};
use precondor_sdk::core::comm::count::Flow;
use precondor_sdk::core::comm::predict::slab::{self, Slabs, length};
use precondor_sdk::core::comm::predict::{Layout, Rank, Stencil, factored};

/// `mlp-fsai`: the shipped model reshapes FSAI's factor on the pattern of A itself.
pub fn mlp_fsai(layout: Layout, params: &fsai::Params) -> Option<Vec<Rank>> {
    params.model.is_none().then(|| factored(layout, &Stencil::seven().lower()))
}

/// `mlp-reference`, in single precision and without a coarse correction.
pub fn mlp_reference(layout: Layout, params: &reference::Params) -> Option<Vec<Rank>> {
    let plain = params.grid.is_none() && params.model.is_none() && params.coarse.unwrap_or(0) == 0;
    if !plain || params.coefficient != Source::Auto {
        return None;
    }
    // Rows of the grid that the smoother reaches, and coefficients that it touches a node.
    let (reach, smooth) = match params.variant {
        None | Some(Variant::Spd) => (0, 1),
        Some(Variant::Stencil) => (1, 9),
        // Forwards and backwards through the seven coefficients of A.
        Some(Variant::Sweep) => (2, 2 * 7),
    };
    let slabs = Slabs(layout);
    let mut ranks = slab::solve(slabs, 4, |rank| slabs.around(rank, 2 * reach + 4), reach + 2);
    for (r, rank) in (0..layout.p).zip(&mut ranks) {
        if layout.p > 1 {
            // The largest residual.
            rank.traffic.gather = Flow { calls: 1, messages: 0, bytes: 8 };
        }
        let rows = |halo| length(&slabs.around(r, halo));
        let (product, there) = (7, 9 + 5);
        let touched = smooth * (rows(reach + 4) + rows(0))
            + product * (rows(reach + 3) + rows(reach))
            + there * (rows(reach + 2) + rows(reach + 1));
        rank.flops += 2 * layout.m * touched;
    }
    Some(ranks)
}
