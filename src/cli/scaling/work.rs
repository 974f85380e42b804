//! What one application of a method does on each rank, for the seven-point matrix of a grid.
//!
//! | method | exchanges | flops |
//! |---|---|---|
//! | none, `jacobi` | none | 0, 1 a row |
//! | `spai`, pattern of Aᵏ | one, of that pattern | 2 an entry of M |
//! | `fsai`, `mlp-fsai`, tril(Aᵏ) | one for G (from lower ranks), one for Gᵀ (from higher ones) | 2 an entry of G and of Gᵀ in the rank's rows |
//! | `ic`, `ilu` without fill, within ranks | none | 2 an entry of the block of A, less 1 a row |
//! | `schwarz` with these | one, of the rows around; one back unless it is restricted | the same on the block, 2 a row for weights |
//! | `sine`, `reference`, `mlp-reference` | [`slab`] | [`slab`] |
use super::grid::{Layout, Stencil};
use super::{Rank, slab};
use precondor_core::comm::count::{Flow, Traffic};
use precondor_core::schema::named_method;
use serde_json::Value;
use std::ops::Range;

/// One product with a matrix of this pattern.
pub fn product(layout: Layout, stencil: &Stencil) -> Vec<Rank> {
    let sent = stencil.halo(layout).into_iter().enumerate();
    let rank = |(rank, exchange)| Rank {
        traffic: Traffic { exchange, ..Traffic::default() },
        flops: 2 * stencil.entries(layout, rank as u64),
    };
    sent.map(rank).collect()
}

/// One application of the method `name` with these parameters; none where there is no formula for it.
pub fn application(layout: Layout, name: &str, parameters: &Value) -> Option<Vec<Rank>> {
    let number = |key: &str| parameters[key].as_f64();
    let unless = |key: &str| number(key).is_none_or(|value| value == 0.0);
    let power = parameters["power"].as_u64().unwrap_or(1) as u32;
    let pattern = || Stencil::seven().power(power);
    match name {
        "none" => Some(within(layout, |_| 0)),
        "jacobi" => Some(within(layout, |rank| rows(layout, rank))),
        "spai" if unless("threshold") => Some(product(layout, &pattern())),
        "fsai" if unless("threshold") && unless("steps") && unless("filter") => {
            Some(factored(layout, &pattern().lower()))
        }
        // The shipped model reshapes the factor on the pattern of A itself.
        "mlp-fsai" if parameters["model"].is_null() => {
            Some(factored(layout, &Stencil::seven().lower()))
        }
        "ic" => Some(factors(layout)),
        "ilu" if zero_fill(parameters) => Some(factors(layout)),
        "sine" if parameters["grid"].is_null() => Some(slab::sine(layout)),
        "reference" => wrapped(layout, parameters),
        "mlp-reference" => learned(layout, parameters),
        "schwarz" => schwarz(layout, parameters),
        _ => None,
    }
}

/// A0⁻¹ in smoothing that needs no sweep from row to row: products before and after the solve, those of
/// the smoother, and those of P and its transpose.
fn wrapped(layout: Layout, parameters: &Value) -> Option<Vec<Rank>> {
    let solver = named_method(&parameters["method"]).map(|(name, _)| name);
    let plain = parameters["grid"].is_null() && solver.is_none_or(|name| name == "sine");
    let interpolated = parameters["interpolation"].as_f64() != Some(0.0);
    let (products, vectors) = match parameters["smoother"].as_str() {
        Some("none") => (0, 0),
        Some("jacobi") => (2, 6),
        Some("chebyshev") => (4, 12),
        _ => return None,
    };
    let (products, vectors) =
        if interpolated { (products + 2, vectors + 6) } else { (products, vectors) };
    plain.then(|| slab::wrapped(layout, products, |rank| vectors * rows(layout, rank)))
}

/// Incomplete factors without fill on each rank's own block.
fn factors(layout: Layout) -> Vec<Rank> {
    let seven = Stencil::seven();
    within(layout, |rank| 2 * seven.entries_within(layout, rank) - rows(layout, rank))
}

/// Whether parameters of `ilu` ask for no fill, as none do.
fn zero_fill(parameters: &Value) -> bool {
    let none = serde_json::Map::new();
    parameters.as_object().unwrap_or(&none).iter().all(|(key, value)| key == "level" && *value == 0)
}

/// The network's map as far as the shipped models go; a constant coefficient needs no coarse grid.
fn learned(layout: Layout, parameters: &Value) -> Option<Vec<Rank>> {
    let plain = ["grid", "coefficient", "coarse", "model"]
        .iter()
        .all(|&key| parameters[key].is_null() || parameters[key] == 0 || parameters[key] == "auto");
    let (reach, coefficients) = match parameters["variant"].as_str() {
        None | Some("spd") => (0, 1),
        Some("stencil") => (1, 9),
        // Forwards and backwards through the seven coefficients of A.
        Some("sweep") => (2, 2 * 7),
        Some(_) => return None,
    };
    plain.then(|| slab::learned(layout, reach, coefficients))
}

/// Overlapping blocks with IC(0) on each; how far they reach is a power of A.
fn schwarz(layout: Layout, parameters: &Value) -> Option<Vec<Rank>> {
    let (name, inner) = named_method(&parameters["method"])?;
    // Whether corrections go back, and how many flops a row of the block the weights take.
    let (back, weights) = match (name.as_str(), parameters["variant"].as_str()) {
        ("ic", None | Some("weighted")) => (true, 2),
        ("ic", Some("additive")) => (true, 0),
        ("ic", Some("restricted")) => (false, 0),
        ("ilu", None | Some("restricted")) if zero_fill(&inner) => (false, 0),
        _ => return None,
    };
    let seven = Stencil::seven();
    let reach = seven.power(parameters["overlap"].as_u64().unwrap_or(1) as u32);
    let bring = reach.halo(layout);
    let overlapping = bring.iter().any(|flow| flow.messages > 0);
    let rank = |rank: u64| {
        let (own, ghosts) = (layout.rows(rank), reach.ghosts(layout, rank));
        let size = |range: &Range<u64>| range.end - range.start;
        let rows = size(&own) + ghosts.iter().map(size).sum::<u64>();
        let mut block = ghosts.clone();
        block.push(own);
        // The factors of ILU(0) and of IC(0), diagonals and all, take as many.
        let entries = seven.entries_among(layout.m, &block);
        let (mut exchange, mut flops) = (Flow::default(), 2 * entries - rows);
        if overlapping {
            flops += weights * rows;
            exchange = bring[rank as usize];
            if back {
                exchange.calls += 1;
                exchange.messages += owners(layout, &reach, rank).len() as u64;
                exchange.bytes += 8 * ghosts.iter().map(size).sum::<u64>();
            }
        }
        Rank { traffic: Traffic { exchange, ..Traffic::default() }, flops }
    };
    Some((0..layout.p).map(rank).collect())
}

/// Messages of the setup that are not collectives: rows of A that the small systems reach, and the
/// columns that the parts of M need from others, where A is known to be symmetric if it must be. None
/// where there is no formula.
pub fn setup(layout: Layout, name: &str, parameters: &Value) -> Option<Vec<Flow>> {
    let near = parameters["power"].as_u64().unwrap_or(1) <= 1;
    application(layout, name, parameters).filter(|_| near)?;
    let (seven, p) = (Stencil::seven(), layout.p as usize);
    let power = parameters["power"].as_u64().unwrap_or(1) as u32;
    let mut sent = vec![Flow::default(); p];
    if layout.p == 1 || matches!(name, "none" | "jacobi") {
        return Some(sent);
    }
    let symmetrized = parameters["symmetrize"].as_bool().unwrap_or(false);
    match name {
        "spai" if !symmetrized => {
            let pattern = seven.power(power);
            fetch(layout, &pattern, &mut sent);
            announce(layout, &pattern, &mut sent);
        }
        "fsai" => {
            let lower = seven.power(power).lower();
            fetch(layout, &lower, &mut sent);
            announce(layout, &lower, &mut sent);
            // The transpose: entries to the owners of their columns, 24 bytes each.
            for rank in 0..layout.p {
                let flow = &mut sent[rank as usize];
                let outside = lower.entries(layout, rank) - lower.entries_within(layout, rank);
                flow.calls += 1;
                flow.messages += owners(layout, &lower, rank).len() as u64;
                flow.bytes += 24 * outside;
            }
            announce(layout, &lower.transpose(), &mut sent);
        }
        _ => return None,
    }
    Some(sent)
}

/// The look for an entry of A without its mirror: 32 bytes for each entry in a column of others. It
/// happens once for a matrix, in the first setup or solve that needs a symmetric one.
pub fn symmetry(layout: Layout) -> Vec<Flow> {
    let seven = Stencil::seven();
    let rank = |rank| Flow {
        calls: u64::from(layout.p > 1),
        messages: owners(layout, &seven, rank).len() as u64,
        bytes: 32 * (seven.entries(layout, rank) - seven.entries_within(layout, rank)),
    };
    (0..layout.p).map(rank).collect()
}

/// The rows of A that ghost columns of `pattern` number: 8 bytes a row asked for, then 8 a row and 16
/// an entry sent.
fn fetch(layout: Layout, pattern: &Stencil, sent: &mut [Flow]) {
    for rank in 0..layout.p {
        let mut last = None;
        let mut asked = 0;
        sent[rank as usize].calls += 2;
        for (owner, part) in pattern.sources(layout, rank) {
            let count = part.end - part.start;
            let new = u64::from(last.replace(owner) != Some(owner));
            let reply = &mut sent[owner as usize];
            reply.messages += new;
            reply.bytes += 8 * count + 16 * Stencil::seven().entries_of(layout.m, part);
            sent[rank as usize].messages += new;
            asked += count;
        }
        sent[rank as usize].bytes += 8 * asked;
    }
}

/// A matrix of this pattern tells every owner which of its entries it needs, 8 bytes each.
fn announce(layout: Layout, pattern: &Stencil, sent: &mut [Flow]) {
    for rank in 0..layout.p {
        let count: u64 = pattern.ghosts(layout, rank).iter().map(|r| r.end - r.start).sum();
        let flow = &mut sent[rank as usize];
        flow.calls += 1;
        flow.messages += owners(layout, pattern, rank).len() as u64;
        flow.bytes += 8 * count;
    }
}

/// The ranks that ghost entries of `rank` come from.
fn owners(layout: Layout, pattern: &Stencil, rank: u64) -> Vec<u64> {
    let mut owners: Vec<u64> =
        pattern.sources(layout, rank).into_iter().map(|(owner, _)| owner).collect();
    owners.dedup();
    owners
}

/// M = GᵀG.
fn factored(layout: Layout, lower: &Stencil) -> Vec<Rank> {
    let (g, transpose) = (product(layout, lower), product(layout, &lower.transpose()));
    g.into_iter().zip(transpose).map(|(g, transpose)| g + transpose).collect()
}

fn within(layout: Layout, flops: impl Fn(u64) -> u64) -> Vec<Rank> {
    let rank = |rank| Rank { traffic: Traffic::default(), flops: flops(rank) };
    (0..layout.p).map(rank).collect()
}

fn rows(layout: Layout, rank: u64) -> u64 {
    let rows = layout.rows(rank);
    rows.end - rows.start
}
