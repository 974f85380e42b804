//! Incomplete LU: M⁻¹ = (I + L) D (I + U) ≈ A, with L and U kept sparse in one of three ways.
//!
//! - ILU(k) (`level`): an entry is kept where its level of fill is at most k. ILU(0) has the
//!   pattern of A, and (I + L) D (I + U) equals A on it.
//! - ILUT(p, τ) (`max_fill`, `fill_factor`, `drop_tolerance`): row i keeps the largest entries of L and of
//!   U among those above τ‖aᵢ‖₂.
//! - ILUTP (`pivoting`): ILUT that exchanges columns where an entry right of the diagonal is much larger.
//!
//! `ordering` permutes rows and columns alike before that. `matching` permutes the columns alone, so that
//! the product of the diagonal is as large as it can be, and scales rows and columns so that the diagonal
//! is 1 and nothing larger: M = S Q (…)⁻¹ P R, where P R A S Q is what is factorised.
//!
//! Exists for M- and H-matrices; for others a pivot may vanish. Then (`matching = "auto"`) the matrix is
//! matched, and unless `level` is given ILUTP made of it, rows ordered by AMD: this takes zeros on
//! the diagonal and bad scaling (chemical engineering, bases of linear programs, circuits, saddle
//! points). So are matrices with zeros on the diagonal whose factors exist but enlarge a residual. Where
//! that fails, too, an error names the row. Widely useful with GMRES and BiCGStab; for symmetric positive
//! definite A prefer `ic`. Iteration counts grow with the size of the problem. docs/ilu.md has figures.
//!
//! Each rank factorises the block of columns that it owns: block Jacobi between the ranks, and M
//! depends on their number. `schwarz` with `method = "ilu"` lets the blocks
//! overlap.
//!
//! Cost: setup O(Σ over entries of L of the length of that row of U), of the order of twenty
//! products with A for ILU(0), and that of the ordering and the matching; apply one product's worth of
//! flops over the factors' entries, 12 bytes each; no communication. A refresh of ILU(k) skips ordering
//! and search for fill; a matching follows the values and is made again.
//!
//! Scaling A by c scales M by 1/c in all variants.
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §10.3
//! (ILU(k)), §10.4 (ILUT, ILUTP); M. Benzi, J. C. Haws, M. Tůma, *Preconditioning highly indefinite and
//! nonsymmetric matrices*, SIAM J. Sci. Comput. 22 (2000) 1333–1353 (what matching is worth).
use crate::block::{Asked, Block, Fill};
use crate::threshold::Rule;
use precondor_sdk::core::kernel::matching::{self, Unmatched};
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::core::kernel::random::{Purpose, Stream};
use precondor_sdk::prelude::*;

/// What ILUTP does where nothing else is said: entries up to this times ‖aᵢ‖₂ are dropped,
const DROP_TOLERANCE: f64 = 1e-4;
/// L and U together have at most this times the entries of A,
const FILL_FACTOR: f64 = 10.0;
/// and a pivot is exchanged that is smaller than this times the largest entry.
const PIVOTING: f64 = 0.1;
/// Pivots of a matched block with zeros on its diagonal are moved to this, the size of what is dropped.
const SHIFT: f64 = DROP_TOLERANCE;

/// Parameters of [`Ilu`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Level of fill k of ILU(k); 0, the pattern of A, where neither this nor a parameter of ILUT
    /// is given.
    #[schemars(extend("x-precondor-tune" = [1, 4]))]
    pub level: Option<u32>,
    /// ILUT: entries of row i up to this times ‖aᵢ‖₂ are dropped; 0 where only `max_fill` is given,
    /// 1e-4 where neither is.
    #[schemars(range(min = 0.0), extend("x-precondor-tune" = [1e-5, 0.1]))]
    pub drop_tolerance: Option<f64>,
    /// ILUT: entries kept in a row of L, and in a row of U, at most; no limit where only
    /// `drop_tolerance` is given.
    #[schemars(extend("x-precondor-tune" = [5, 100]))]
    pub max_fill: Option<u32>,
    /// ILUT: entries of L and U together, at most this times those of A; a row may use what those before
    /// it have left. 10 where neither `drop_tolerance` nor `max_fill` is given.
    #[schemars(range(min = 1.0), extend("x-precondor-tune" = [1.5, 20.0]))]
    pub fill_factor: Option<f64>,
    /// ILUTP: a pivot that is smaller than this times the largest entry right of it is exchanged for that
    /// one.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-precondor-tune" = [0.01, 1.0]))]
    pub pivoting: Option<f64>,
    /// Pivots smaller than this times Σⱼ|aᵢⱼ| are moved away from zero to that size; where it is
    /// not given, a zero pivot is an error.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-precondor-tune" = [1e-6, 0.1]))]
    pub shift: Option<f64>,
    /// In which order rows and columns are eliminated: `natural` where it is not given, but `amd` for what
    /// a failure is followed by (see `matching`).
    pub ordering: Option<Ordering>,
    /// Whether columns are permuted first, and rows and columns scaled, for a diagonal of large entries.
    pub matching: Matching,
}

/// Whether columns are permuted first, and rows and columns scaled, for a diagonal of large entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Matching {
    /// Where a pivot vanishes without it, or zeros stand on the diagonal and the factors enlarge a
    /// residual: then as `product`, with ILUTP unless `level` is given, and pivots that vanish all the same
    /// are moved if there were zeros on the diagonal.
    #[default]
    Auto,
    /// Never.
    None,
    /// The product of the diagonal is made as large as it can be; scaled, it is 1 and no entry larger.
    Product,
}

impl Params {
    fn fill(&self) -> Result<Fill> {
        let by_size = [self.drop_tolerance, self.fill_factor, self.pivoting];
        match (self.level, by_size == [None; 3] && self.max_fill.is_none()) {
            (level, true) => return Ok(Fill::Level(level.unwrap_or(0))),
            (None, false) => {}
            (Some(_), false) => {
                return Err(Error::Parameter(
                    "'level' chooses ILU(k), 'drop_tolerance' and 'max_fill' choose ILUT, as do \
                     'fill_factor' and 'pivoting': give one kind"
                        .into(),
                ));
            }
        }
        let bare = self.drop_tolerance.is_none() && self.max_fill.is_none();
        Ok(Fill::Threshold(Rule {
            tolerance: self.drop_tolerance.unwrap_or(if bare { DROP_TOLERANCE } else { 0.0 }),
            max_fill: self.max_fill.map_or(usize::MAX, |max| max as usize),
            fill_factor: self.fill_factor.or(bare.then_some(FILL_FACTOR)),
            pivoting: self.pivoting,
        }))
    }

    /// What is to be made first.
    fn asked(&self) -> Result<Asked> {
        Ok(Asked {
            fill: self.fill()?,
            ordering: self.ordering.unwrap_or_default(),
            matched: self.matching == Matching::Product,
            shift: self.shift,
        })
    }

    /// What is to be made of a block for which that is no use; `zeros`: some of its diagonal are.
    fn otherwise(&self, asked: &Asked, zeros: bool) -> Asked {
        let (fill, ordering) = match asked.fill {
            Fill::Level(_) if self.level.is_some() => (asked.fill, asked.ordering),
            fill => {
                let rule = match fill {
                    Fill::Threshold(rule) => rule,
                    Fill::Level(_) => Rule {
                        tolerance: DROP_TOLERANCE,
                        max_fill: usize::MAX,
                        fill_factor: Some(FILL_FACTOR),
                        pivoting: None,
                    },
                };
                let pivoting = rule.pivoting.or(Some(PIVOTING));
                let ordering = self.ordering.unwrap_or(Ordering::Amd);
                (Fill::Threshold(Rule { pivoting, ..rule }), ordering)
            }
        };
        let shift = self.shift.or(zeros.then_some(SHIFT));
        Asked { fill, ordering, matched: true, shift }
    }
}

/// The method.
pub struct Ilu;

/// The factors of this rank's block.
pub struct IncompleteLu {
    block: Block,
    asked: Asked,
    otherwise: Asked,
    /// The pattern of A, offsets and columns, where the factors must fit it and do not show it.
    source: Option<(Vec<u32>, Vec<u32>)>,
    /// Where this rank's block is not factorised as asked.
    instead: Option<Instead>,
    told: Told,
    refreshed: u32,
    ranks: usize,
}

/// What was made instead of what was asked for.
struct Instead {
    /// The global row that has no pivot; where all have, the factors were no use.
    row: Option<u64>,
    made: Asked,
}

/// What it took to factorise the blocks, on all ranks.
struct Told {
    /// Pivots moved away from zero.
    moved: u64,
    /// Blocks that were not factorised as asked, and the first global row of theirs that had no pivot.
    instead: u64,
    row: Option<u64>,
}

impl IncompleteLu {
    /// Whether the pattern of L and U is that which `a` would get.
    fn fits(&self, a: CsrView<'_>) -> bool {
        match (&self.source, self.asked.fill) {
            (Some((row_ptr, cols)), _) => row_ptr == a.row_ptr && cols == a.cols,
            (None, Fill::Level(_)) if self.instead.is_none() => self.block.has_pattern(a),
            (None, _) => true,
        }
    }
}

impl Generator for Ilu {
    const NAME: &'static str = "ilu";
    const SUMMARY: &'static str = "incomplete LU of each rank's own block, fill kept by level (ILU(k)) or by size (ILUT, ILUTP); orderings, matching";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = IncompleteLu;

    fn invariances(params: &Params) -> Invariances {
        // Entries are dropped, and pivots moved, by the size of their rows; what a matching scales by is one
        // choice of many.
        let by_level = matches!(params.fill(), Ok(Fill::Level(_))) && params.shift.is_none();
        match params.matching {
            Matching::Product => Invariances::SCALING,
            Matching::None | Matching::Auto if by_level => Invariances::ROWS_AND_COLUMNS,
            Matching::None => Invariances { rows: true, ..Invariances::SCALING },
            Matching::Auto => Invariances::SCALING,
        }
    }

    fn generate(params: &Params, system: &System) -> Result<IncompleteLu> {
        let system = &*system.regular()?;
        let (a, asked) = (system.a(), params.asked()?);
        let own = a.own().view();
        let (block, instead) = make(params, &asked, system, None)?;
        let told = Told::on_all(a, &block, instead.as_ref())?;
        let hidden = match asked.fill {
            Fill::Level(k) => k > 0 || asked.matched || asked.ordering != Ordering::Natural,
            Fill::Threshold(_) => false,
        };
        let source = hidden.then(|| (own.row_ptr.to_vec(), own.cols.to_vec()));
        let ranks = a.space().comm().size();
        let otherwise = params.otherwise(&asked, false);
        Ok(IncompleteLu { block, asked, otherwise, source, instead, told, refreshed: 0, ranks })
    }

    /// ILU(k) keeps its pattern; what has a pattern that comes from the values is built anew, in the same
    /// room.
    fn refresh(m: &mut IncompleteLu, params: &Params, system: &System) -> Result<()> {
        let system = &*system.regular()?;
        let (a, asked) = (system.a(), params.asked()?);
        let changed = m.asked != asked || !m.fits(a.own().view());
        if a.space().comm().any(changed)? {
            return Err(Error::PatternChanged);
        }
        let last = (std::mem::replace(&mut m.block, Block::none()), m.instead.take());
        (m.block, m.instead) = make(params, &asked, system, Some(last))?;
        m.told = Told::on_all(a, &m.block, m.instead.as_ref())?;
        m.refreshed += 1;
        Ok(())
    }
}

/// The factors of the own block, as asked or instead, with the room of the last ones. Not collective.
fn make(
    params: &Params,
    asked: &Asked,
    system: &System,
    last: Option<(Block, Option<Instead>)>,
) -> Result<(Block, Option<Instead>)> {
    let a = system.a();
    let own = a.own().view();
    let before_row = |i: usize| match i % STEP {
        0 => system.host().step(i, own.n_rows(), "rows factorised"),
        _ => Ok(()),
    };
    let global = |i: u64| Some(a.global_row(i as usize));
    let (room, other_room) = match last {
        Some((last, None)) => (Some(last), None),
        Some((last, Some(instead))) => (None, Some((last, instead.made))),
        None => (None, None),
    };
    let zeros =
        params.matching == Matching::Auto && (0..own.n_rows()).any(|i| own.get(i, i) == 0.0);
    let first = match Block::make(asked, own, room, &before_row) {
        Ok(block) if zeros && enlarges_a_residual(&block, own) => Ok(block),
        Ok(block) => return Ok((block, None)),
        Err(error @ Error::Breakdown(_)) if params.matching == Matching::Auto => Err(error),
        Err(error) => return Err(advised(error, params, a).renumbered(&global)),
    };
    let made = params.otherwise(asked, zeros);
    let by_size = matches!(made.fill, Fill::Threshold(_));
    let room = other_room.filter(|(_, last)| by_size && *last == made).map(|(room, _)| room);
    match (Block::make(&made, own, room, &before_row), first) {
        (Ok(block), first) => {
            let row = first.err().and_then(|error| row_of(&error)).and_then(global);
            Ok((block, Some(Instead { row, made })))
        }
        (Err(Error::Interrupted), _) => Err(Error::Interrupted),
        (Err(_), Ok(block)) => Ok((block, None)),
        (Err(_), Err(error)) => Err(advised(error, params, a).renumbered(&global)),
    }
}

/// Rows of a factorisation after which it is asked whether to go on.
const STEP: usize = 4096;

/// Whether ‖A M b − b‖ > ‖b‖ for a b = A x: whether nothing at all would be a better M.
fn enlarges_a_residual(m: &Block, a: CsrView<'_>) -> bool {
    let n = a.n_rows();
    let numbers = Stream::new(Purpose::Test, 0, 0, &[]);
    let x: Vec<f64> = (0..n).map(|i| numbers.signed(i as u64, 0)).collect();
    let (mut b, mut z, mut r) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    a.spmv(&x, &mut b, false);
    m.apply(&b, &mut z);
    a.spmv(&z, &mut r, false);
    r.iter_mut().zip(&b).for_each(|(r, b)| *r -= b);
    // Scaled, that squares do not overflow; a residual that is not finite is larger.
    let largest = b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let square = |x: &[f64]| x.iter().map(|v| (v / largest) * (v / largest)).sum::<f64>();
    let (left, before) = (square(&r), square(&b));
    largest > 0.0 && (left > before || left.is_nan())
}

/// The row that a breakdown names first.
fn row_of(error: &Error) -> Option<u64> {
    let row = std::cell::Cell::new(None);
    let _ = error.clone().renumbered(&|i| {
        row.set(row.get().or(Some(i)));
        None
    });
    row.get()
}

/// A breakdown in rows of the block, with what can be done about it.
fn advised(error: Error, params: &Params, a: &DistCsr) -> Error {
    let (own, comm) = (a.own().view(), a.space().comm());
    let (Error::Breakdown(text), Some(row)) = (&error, row_of(&error)) else { return error };
    let values = own.row_values(row as usize);
    if values.iter().any(|v| !v.is_finite()) {
        return error;
    }
    let empty = values.iter().all(|v| *v == 0.0);
    let text = match matching::product(own) {
        Err(why @ Unmatched::Singular { .. }) if !empty => why.into_error(own.n_rows()).to_string(),
        Err(Unmatched::Singular { .. }) => text.clone(),
        _ if params.matching == Matching::None => {
            return Error::Breakdown(format!(
                "{text}, or leave out matching = \"none\", so that other entries come to the diagonal"
            ));
        }
        _ => return error,
    };
    Error::Breakdown(match comm.size() {
        1 => text,
        _ => format!(
            "{text} (rank {}); blocks that overlap have more rows: set name = \
             \"schwarz\", method = \"ilu\", overlap = 1 in [preconditioner]",
            comm.rank()
        ),
    })
}

impl Told {
    /// Collective.
    fn on_all(a: &DistCsr, block: &Block, instead: Option<&Instead>) -> Result<Self> {
        let comm = a.space().comm();
        let mut sums = [f64::from(block.moved), f64::from(u8::from(instead.is_some()))];
        comm.sum(&mut sums)?;
        let row = instead.and_then(|instead| instead.row);
        let mut first = [row.map_or(f64::NEG_INFINITY, |row| -(row as f64))];
        if sums[1] > 0.0 {
            comm.max(&mut first)?;
        }
        let row = first[0].is_finite().then_some(-first[0] as u64);
        Ok(Told { moved: sums[0] as u64, instead: sums[1] as u64, row })
    }
}

impl Preconditioner for IncompleteLu {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.block.apply(r, z);
        Ok(())
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.block.apply_transposed(r, z);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties { rank_independent: false, ..Properties::GENERAL }
    }
    fn stored_entries(&self) -> usize {
        self.block.stored_entries()
    }
    fn bytes(&self) -> usize {
        let source = self.source.as_ref().map_or(0, |(row_ptr, cols)| row_ptr.len() + cols.len());
        self.block.bytes() + 4 * source
    }
    fn notes(&self) -> Vec<String> {
        let reuse = match self.asked.fill {
            Fill::Level(_) => "the pattern of the factors kept",
            Fill::Threshold(_) => "ILUT built anew each time",
        };
        let mut notes = crate::notes(self.ranks, self.refreshed, reuse);
        if self.told.instead > 0 {
            let why = match self.told.row {
                Some(row) => format!("no pivot in global row {row}"),
                None => "zeros on the diagonal, and factors that enlarge a residual".into(),
            };
            let ranks = match self.ranks {
                1 => String::new(),
                ranks => format!(" on {} of {ranks} ranks", self.told.instead),
            };
            notes.push(format!("{why}{ranks}: {}", self.otherwise));
        }
        if self.told.moved > 0 {
            notes.push(format!("{} small pivots moved away from zero", self.told.moved));
        }
        notes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_does_not_touch_the_pattern() {
        let tridiagonal = |centre: f64| {
            let near = |i: usize| [(i, (i + 1) % 9, -1.0), (i, i, centre), (i, (i + 8) % 9, -1.0)];
            let a = Csr::from_triplets(9, 9, (0..9).flat_map(near).collect::<Vec<_>>()).unwrap();
            System::new(DistCsr::solo(a).unwrap())
        };
        let params = Params { level: Some(1), ..Params::default() };
        let mut m = Ilu::generate(&params, &tridiagonal(3.0)).unwrap();
        let places = |m: &IncompleteLu| {
            [&m.block.factors.lower, &m.block.factors.upper].map(|t| (t.row(0).0.as_ptr(), t.nnz()))
        };
        let before = places(&m);
        Ilu::refresh(&mut m, &params, &tridiagonal(4.0)).unwrap();
        assert_eq!(places(&m), before);
        assert_eq!(m.block.factors.inverse[0], 0.25);
    }
}
