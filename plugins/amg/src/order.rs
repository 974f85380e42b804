//! Another order of the unknowns, where neighbours are far apart.
//!
//! Sweeps touch x near the rows they are at; where the columns of a row are spread over the whole
//! vector every one of them is a cache miss. Rows are renumbered breadth first from an end of the graph
//! (Cuthill and McKee without the sorting) where the mean distance |i − j| of an entry from the diagonal
//! is above a tenth of n.
use crate::rows::Order;
use precondor_sdk::core::matrix::CsrView;
use precondor_sdk::prelude::*;

/// What to do about the order of the unknowns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Ordering {
    /// Breadth first where neighbours are far apart, else as they are.
    Auto,
    /// As they are.
    Given,
    /// Breadth first.
    BreadthFirst,
}

/// One row in so many is looked at.
const SAMPLE: usize = 7;
/// Mean distance from the diagonal, as a part of n, above which a new order pays.
const FAR: f64 = 0.1;
/// A part of the graph at least so large is walked again from its far end.
const LARGE: usize = 1000;

/// The order to work in; none: as given.
pub(crate) fn choose(a: CsrView<'_>, wish: Ordering) -> Option<Order> {
    let wanted = match wish {
        Ordering::Given => false,
        Ordering::BreadthFirst => true,
        Ordering::Auto => spread(a) > FAR * a.n_rows() as f64,
    };
    wanted.then(|| breadth_first(a))
}

/// Mean |i − j| of the entries of some rows.
fn spread(a: CsrView<'_>) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for i in (0..a.n_rows()).step_by(SAMPLE) {
        for &j in a.row_cols(i) {
            sum += (j as f64 - i as f64).abs();
            count += 1;
        }
    }
    sum / count.max(1) as f64
}

fn breadth_first(a: CsrView<'_>) -> Order {
    let n = a.n_rows();
    let (mut old, mut met) = (Vec::with_capacity(n), vec![false; n]);
    for first in 0..n as u32 {
        if met[first as usize] {
            continue;
        }
        let from = old.len();
        walk(a, first, &mut old, &mut met);
        let reached = old.len() - from;
        if let Some(&last) = old.last().filter(|_| reached > LARGE) {
            old.drain(from..).for_each(|i| met[i as usize] = false);
            walk(a, last, &mut old, &mut met);
            if old.len() - from < reached {
                // An unsymmetric pattern leads not always back.
                old.drain(from..).for_each(|i| met[i as usize] = false);
                walk(a, first, &mut old, &mut met);
            }
        }
    }
    let mut new = vec![0; n];
    for (place, &i) in old.iter().enumerate() {
        new[i as usize] = place as u32;
    }
    Order { old, new }
}

/// Appends to `old` what can be reached from `first`, nearest first.
fn walk(a: CsrView<'_>, first: u32, old: &mut Vec<u32>, met: &mut [bool]) {
    let mut next = old.len();
    old.push(first);
    met[first as usize] = true;
    while let Some(&i) = old.get(next) {
        next += 1;
        for &j in a.row_cols(i as usize) {
            if !std::mem::replace(&mut met[j as usize], true) {
                old.push(j);
            }
        }
    }
}
