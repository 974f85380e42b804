//! What one application sends and computes on the seven-point matrix of a grid, predicted: what solves with slabs
//! take ([`slab`]), and products before and after them.
use crate::reference::is_fast_poisson;
use crate::{FastPoissonParams, Kind, Params, Source, Variant};
use precondor_sdk::core::comm::predict::slab::{self, Slabs};
use precondor_sdk::core::comm::predict::{Layout, Rank, Stencil, product};
use precondor_sdk::core::schema::named_method;

/// An application of [`FastPoisson`](crate::FastPoisson); none where the grid is another one than that of the layout.
pub fn fast_poisson(layout: Layout, params: &FastPoissonParams) -> Option<Vec<Rank>> {
    params.grid.is_none().then(|| bare(layout))
}

fn bare(layout: Layout) -> Vec<Rank> {
    let slabs = Slabs(layout);
    slab::solve(slabs, 8, |rank| slabs.rows(rank), 0)
}

/// An application of [`Reference`](crate::Reference) around [`FastPoisson`](crate::FastPoisson), where the smoother needs no sweep from row to
/// row: products before and after the solve, those of the smoother, and those of P and its transpose. None where it looks for bad
/// nodes or for positions: whether there are any, only the system tells.
pub fn reference(layout: Layout, params: &Params) -> Option<Vec<Rank>> {
    let (name, inner) = named_method(&params.method)?;
    if params.bad_nodes != Some(0.0)
        || params.positions != Source::None
        || params.grid.is_some()
        || !is_fast_poisson(&name)
        || !inner.as_object()?.is_empty()
    {
        return None;
    }
    let steps = match params.smoother {
        Kind::None => 0,
        Kind::Jacobi => 1,
        Kind::Chebyshev => u64::from(params.degree.unwrap_or(params.variant.degree(false))),
        Kind::GaussSeidel | Kind::SymmetricGaussSeidel => return None,
    };
    let sides = if params.variant == Variant::Symmetric { 2 } else { 1 };
    let (mut products, mut vectors) = (sides * steps, 3 * sides * steps);
    if params.interpolation != 0.0 {
        (products, vectors) = (products + 2, vectors + 6);
    }
    let ranks = bare(layout).into_iter().zip(product(layout, &Stencil::seven())).zip(0..layout.p);
    let rank = |((mut solve, product), rank): ((Rank, Rank), u64)| {
        solve.flops += vectors * layout.count(rank);
        solve + product.times(products)
    };
    Some(ranks.map(rank).collect())
}
