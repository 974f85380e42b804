//! From one level to the next: what is kept, and how corrections are carried.
use crate::aggregates::{self, ALONE};
use crate::galerkin::Restriction;
use crate::interpolation::{self, Prolongation, Truncation};
use crate::modes::{self, Modes};
use crate::number::Number;
use crate::rows::Rows;
use crate::{splitting, strength};
use precondor_sdk::prelude::*;

/// How to coarsen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Classical,
    Aggregation,
}

/// What a refresh for other values keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Keep {
    /// Nothing: M is what it would be made anew.
    None,
    /// What is lumped together or kept on the next level.
    Coarsening,
    /// How corrections are carried, too: only the matrices of the levels are made anew.
    Interpolation,
}

/// What the next level is made of.
pub(crate) enum Split {
    Aggregates { of: Vec<u32>, count: usize },
    Coarse(Vec<bool>),
}

/// The way to the next level.
pub(crate) struct Down {
    pub r: Restriction,
    /// For a refresh that keeps it.
    split: Option<Split>,
}

impl Down {
    pub fn bytes(&self) -> usize {
        let split = match &self.split {
            None => 0,
            Some(Split::Aggregates { of, .. }) => 4 * of.len(),
            Some(Split::Coarse(coarse)) => coarse.len(),
        };
        self.r.bytes() + split
    }
}

/// How one level follows from another.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub scheme: Scheme,
    pub theta: f64,
    pub truncation: Truncation,
    pub symmetric: bool,
    pub keep: Keep,
}

/// A fall below this part of the rows is worth a level.
const WORTH: f64 = 0.9;

/// What is known of the rows of a level.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// Which unknown of its node each is.
    pub component: Option<Vec<u8>>,
    /// Vectors that aggregation keeps.
    pub modes: Option<Modes>,
}

/// P of `a` and what leads down, where anything is lumped together; `known` becomes that of the next level.
/// `old` is the way down before the values changed.
pub(crate) fn next<V: Number>(
    rule: &Rule,
    a: &Rows<'_, V>,
    known: &mut Known,
    old: Option<Down>,
) -> Option<(Prolongation, Down)> {
    let (r, split) = match old {
        Some(Down { r, .. }) if rule.keep == Keep::Interpolation => {
            let p = r.prolongation(a.len());
            return Some((p, Down { r, split: None }));
        }
        Some(Down { r, split }) if rule.keep == Keep::Coarsening => (Some(r), split),
        _ => (None, None),
    };
    drop(r);
    if let (Some(modes), Scheme::Aggregation) = (&known.modes, rule.scheme) {
        let (of, count) = match split {
            Some(Split::Aggregates { of, count }) => (of, count),
            _ => modes::aggregates(a, modes, rule.theta),
        };
        let (p, next) = modes::prolongation(a, modes, &of, count);
        if !worth(p.n_coarse, a.len()) {
            return None;
        }
        known.modes = Some(next);
        let r = Restriction::of(&p);
        let split = Split::Aggregates { of, count };
        return Some((p, Down { r, split: (rule.keep == Keep::Coarsening).then_some(split) }));
    }
    let component = &mut known.component;
    let of = component.as_deref();
    let (p, split) = match rule.scheme {
        Scheme::Classical => {
            let strong = strength::classical(a, rule.theta, of);
            let coarse = match split {
                Some(Split::Coarse(coarse)) => coarse,
                _ => splitting::first_pass(&strong),
            };
            if !worth(coarse.iter().filter(|&&c| c).count(), a.len()) {
                return None;
            }
            let by = rule.truncation;
            let p = interpolation::extended(a, &strong, &coarse, rule.symmetric, by);
            (p, Split::Coarse(coarse))
        }
        Scheme::Aggregation => {
            let strong = strength::aggregation(a, rule.theta, of);
            let (of, count) = match split {
                Some(Split::Aggregates { of, count }) => (of, count),
                _ => aggregates::greedy(&strong),
            };
            if !worth(count, a.len()) {
                return None;
            }
            let p = interpolation::smoothed(&strong, &of, count, rule.truncation);
            (p, Split::Aggregates { of, count })
        }
    };
    if let Some(component) = component {
        *component = below(component, &split);
    }
    let r = Restriction::of(&p);
    let split = (rule.keep == Keep::Coarsening).then_some(split);
    Some((p, Down { r, split }))
}

/// The unknown of its node that each row of the next level is.
fn below(component: &[u8], split: &Split) -> Vec<u8> {
    match split {
        Split::Coarse(coarse) => {
            component.iter().zip(coarse).filter(|e| *e.1).map(|(&c, _)| c).collect()
        }
        Split::Aggregates { of, count } => {
            let mut next = vec![0; *count];
            for (&g, &c) in of.iter().zip(component).filter(|e| *e.0 != ALONE) {
                next[g as usize] = c;
            }
            next
        }
    }
}

fn worth(coarse: usize, fine: usize) -> bool {
    coarse > 0 && (coarse as f64) < WORTH * fine as f64
}
