//! What these methods send and compute on the seven-point matrix of a grid, predicted.
//!
//! | method | an application | flops |
//! |---|---|---|
//! | [`Spai`](crate::Spai), pattern of Aᵏ | one exchange, of that pattern | 2 an entry of M |
//! | [`Fsai`](crate::Fsai), tril(Aᵏ) | one for G (from lower ranks), one for Gᵀ (from higher ones) | 2 an entry of G and of Gᵀ in the rank's rows |
//!
//! Setup fetches the rows of A that the small systems reach, and tells others which of their entries M needs. A
//! is taken to be known as symmetric where it has to be. No formula covers patterns that depend on the values of A.
use crate::{FsaiParams, SpaiParams};
use precondor_sdk::core::comm::count::Flow;
use precondor_sdk::core::comm::predict::{
    Layout, Rank, Stencil, announce, factored, fetch, product, silence, to_owners,
};

/// An application of SPAI; none where there is no formula.
pub fn spai(layout: Layout, params: &SpaiParams) -> Option<Vec<Rank>> {
    let pattern = || Stencil::seven().power(params.power);
    (params.threshold == 0.0).then(|| product(layout, &pattern()))
}

/// An application of FSAI; none where there is no formula.
pub fn fsai(layout: Layout, params: &FsaiParams) -> Option<Vec<Rank>> {
    let fixed = params.threshold == 0.0 && params.steps == 0 && params.filter == 0.0;
    fixed.then(|| factored(layout, &Stencil::seven().power(params.power).lower()))
}

/// Messages of SPAI's setup that are no collectives; none where there is no formula.
pub fn spai_setup(layout: Layout, params: &SpaiParams) -> Option<Vec<Flow>> {
    spai(layout, params).filter(|_| params.power <= 1 && !params.symmetrize)?;
    let mut sent = silence(layout);
    if layout.p > 1 {
        let pattern = Stencil::seven().power(params.power);
        fetch(layout, &pattern, &mut sent);
        announce(layout, &pattern, &mut sent);
    }
    Some(sent)
}

/// Messages of FSAI's setup that are no collectives; none where there is no formula.
pub fn fsai_setup(layout: Layout, params: &FsaiParams) -> Option<Vec<Flow>> {
    fsai(layout, params).filter(|_| params.power <= 1)?;
    let mut sent = silence(layout);
    if layout.p > 1 {
        let lower = Stencil::seven().power(params.power).lower();
        fetch(layout, &lower, &mut sent);
        announce(layout, &lower, &mut sent);
        // The transpose: entries to the owners of their columns.
        to_owners(layout, &lower, 24, &mut sent);
        announce(layout, &lower.transpose(), &mut sent);
    }
    Some(sent)
}
