//! What one application sends and computes on the seven-point matrix of a grid, predicted: what solves with slabs
//! take ([`slab`]), and products before and after them.
use crate::reference::is_fast_poisson;
use crate::smoother::DEGREE;
use crate::{FastPoissonParams, Kind, Params};
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
/// nodes: whether there are any, only A tells.
pub fn reference(layout: Layout, params: &Params) -> Option<Vec<Rank>> {
    let (name, inner) = named_method(&params.method)?;
    if params.bad_nodes != Some(0.0)
        || params.grid.is_some()
        || !is_fast_poisson(&name)
        || !inner.as_object()?.is_empty()
    {
        return None;
    }
    let (mut products, mut vectors) = match params.smoother {
        Kind::None => (0, 0),
        Kind::Jacobi => (2, 6),
        Kind::Chebyshev => {
            let degree = u64::from(params.degree.unwrap_or(DEGREE));
            (2 * degree, 6 * degree)
        }
        Kind::GaussSeidel | Kind::SymmetricGaussSeidel => return None,
    };
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
