//! One attempt at factorising a rank's block, as asked: permuted and scaled or not, with fill by level
//! or by size.
//!
//! Errors name rows by their numbers in the block, as "global row".
use crate::factors::{BeforeRow, Factors, Pivots};
use crate::level;
use crate::rearranged::Rearranged;
use crate::threshold::{self, Rule};
use precondor_sdk::core::kernel::matching;
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::prelude::*;
use std::fmt;

/// How fill is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    Level(u32),
    Threshold(Rule),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    pub fill: Fill,
    pub ordering: Ordering,
    /// Whether columns are matched to rows first.
    pub matched: bool,
    pub shift: Option<f64>,
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self {
            Fill::Level(level) => return write!(f, "ILU({level})"),
            Fill::Threshold(rule) => rule,
        };
        write!(
            f,
            "ILUT{} with drop_tolerance {}",
            if rule.pivoting.is_some() { "P" } else { "" },
            rule.tolerance
        )?;
        if rule.max_fill < usize::MAX {
            write!(f, ", max_fill {}", rule.max_fill)?;
        }
        rule.fill_factor.map_or(Ok(()), |factor| write!(f, ", fill_factor {factor}"))?;
        rule.pivoting.map_or(Ok(()), |pivoting| write!(f, ", pivoting {pivoting}"))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.matched {
            write!(f, "columns matched to rows and both scaled, ")?;
        }
        write!(f, "{} in the order '{}'", self.fill, self.ordering)
    }
}

/// The factors.
pub struct Block {
    pub factors: Factors,
    rearranged: Option<Rearranged>,
    /// Pivots moved away from zero.
    pub moved: u32,
}

impl Block {
    /// That of no rows.
    pub fn none() -> Self {
        Block { factors: Factors::with_capacity(0, 0), rearranged: None, moved: 0 }
    }

    /// Factorises `a` as asked. What is made of the `last` matrix, in the same way and for the same
    /// pattern, is used again as far as it can be: the result has the same bits without.
    pub fn make(
        asked: &Asked,
        a: CsrView<'_>,
        last: Option<Block>,
        before_row: &BeforeRow<'_>,
    ) -> Result<Block> {
        let (mut room, before) = match last {
            Some(last) => (Some(last.factors), last.rearranged),
            None => (None, None),
        };
        let mut rearranged = if asked.matched {
            let matching = matching::product(a).map_err(|why| why.into_error(a.n_rows()))?;
            let new = Rearranged::matched(a, matching, asked.ordering)?;
            if !before.is_some_and(|before| before.same_places(&new)) {
                room = room.filter(|_| matches!(asked.fill, Fill::Threshold(_)));
            }
            Some(new)
        } else if before.is_some() && matches!(asked.fill, Fill::Level(_)) {
            before
        } else {
            Rearranged::ordered(a, asked.ordering)?
        };
        let copy = rearranged.as_ref().map(|places| places.matrix(a)).transpose()?;
        let b = copy.as_ref().map_or(a, |copy| copy.view());
        let mut pivots = Pivots::new(asked.shift);
        let made = match asked.fill {
            Fill::Level(level) => {
                let pattern = || level::pattern(b, level, before_row);
                room.map_or_else(pattern, Ok).and_then(|mut factors| {
                    level::values(b, &mut factors, &mut pivots, before_row)?;
                    Ok((factors, None))
                })
            }
            Fill::Threshold(rule) => threshold::factorise(b, &rule, &mut pivots, room, before_row),
        };
        let (factors, columns) = made.map_err(|error| match &rearranged {
            Some(places) => error.renumbered(&|place| places.row(place).map(u64::from)),
            None => error,
        })?;
        if let Some(columns) = columns {
            let places = rearranged.unwrap_or_else(|| Rearranged::identity(a.n_rows()));
            rearranged = Some(places.with_columns(&columns));
        }
        Ok(Block { factors, rearranged, moved: pivots.moved })
    }

    /// Whether `a` has the pattern of the factors of ILU(0).
    pub fn has_pattern(&self, a: CsrView<'_>) -> bool {
        self.factors.inverse.len() == a.n_rows()
            && (0..a.n_rows()).all(|i| {
                let off_diagonal = a.row_cols(i).iter().filter(|&&j| j as usize != i);
                let kept = self.factors.lower.row(i).0.iter().chain(self.factors.upper.row(i).0);
                off_diagonal.eq(kept)
            })
    }

    /// z = M r.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) {
        match &self.rearranged {
            None => self.factors.solve(r, z),
            Some(places) => places.apply(r, z, |x| self.factors.solve_in_place(x)),
        }
    }

    /// z = Mᵀ r.
    pub fn apply_transposed(&self, r: &[f64], z: &mut [f64]) {
        match &self.rearranged {
            None => {
                z.copy_from_slice(r);
                self.factors.solve_transposed_in_place(z);
            }
            Some(places) => {
                places.apply_transposed(r, z, |x| self.factors.solve_transposed_in_place(x));
            }
        }
    }

    pub fn stored_entries(&self) -> usize {
        self.factors.stored_entries()
    }

    pub fn bytes(&self) -> usize {
        self.factors.bytes() + self.rearranged.as_ref().map_or(0, Rearranged::bytes)
    }
}
