//! How the levels of a rank's block are made.
use crate::amg::{Hierarchy, Levels, Lower, Single};
use crate::blocks;
use crate::coarsening::{self, Scheme};
use crate::coarsest::Inverse;
use crate::frame::Frame;
use crate::galerkin::{self, Restriction};
use crate::hierarchy::{Coarse, First, Made, Plan, Size, power_of_two};
use crate::interpolation::Prolongation;
use crate::level::Level;
use crate::modes::Modes;
use crate::number::Number;
use crate::order;
use crate::params::{Params, Precision, Scaling};
use crate::rows::{Order, Rows};
use crate::smoother::{Kind, Smoother, Wish, incomplete};
use crate::{recipe, scaling};
use precondor_sdk::core::kernel::smoothing::Traits;
use precondor_sdk::prelude::*;

/// Single precision does not go beyond this ratio of diagonal entries.
const SPAN: f64 = 1e25;

/// What setup gives.
pub(crate) struct Setup {
    pub work: Hierarchy,
    pub symmetric: bool,
    pub definite: bool,
    pub notes: Vec<String>,
}

/// What is known of the unknowns of a node.
pub(crate) enum Unknowns {
    /// So many a node, one after the other; 1 where nothing is known.
    PerNode(usize),
    /// Which of its node each row is.
    Each(Vec<u8>),
}

/// Which unknown of its node a row of A is.
type UnknownOf = Box<dyn Fn(usize) -> u8>;

/// The levels of this rank's block. Not collective.
pub(crate) fn setup(
    params: &Params,
    system: &System,
    symmetric: bool,
    unknowns: Unknowns,
    old: Option<Hierarchy>,
) -> Result<Setup> {
    let a = system.a();
    let own = a.own().view();
    let small = own.n_rows() <= params.coarsest as usize || params.levels == Some(1);
    let as_given = small || params.method.is_some();
    let order = if as_given { None } else { order::choose(own, params.ordering) };
    let rows = Rows::of(own, order.as_ref()).map_err(|i| {
        Error::breakdown(a.global_row(i), "there is no diagonal entry; amg needs it to be positive")
    })?;
    let span = check_diagonal(a, &rows, order.as_ref())?;
    if small {
        return direct(&rows, symmetric, old);
    }
    let place = |i: usize| order.as_ref().map_or(i, |order| order.old[i] as usize);
    let (block, of): (_, Option<UnknownOf>) = match unknowns {
        Unknowns::Each(of) => {
            let most = of.iter().fold(0, |most, &c| most.max(c));
            (usize::from(most) + 1, Some(Box::new(move |i| of[i])))
        }
        Unknowns::PerNode(1) => (1, None),
        // Ranks start with whole nodes.
        Unknowns::PerNode(block) => (block, Some(Box::new(move |i| (i % block) as u8))),
    };
    let component = of.map(|of| (0..rows.len()).map(|i| of(place(i))).collect::<Vec<u8>>());
    let asked = params.scheme(symmetric);
    let modes = match asked {
        Some(Scheme::Classical) => None,
        _ => Modes::of(system, params.near_null_space, block, order.as_ref())?,
    };
    let scaling = match params.scaling {
        Scaling::Auto if symmetric && modes.is_none() => scaling::cure(&rows, component.as_deref()),
        Scaling::Auto | Scaling::Given => None,
    };
    let (rows, span) = match &scaling {
        None => (rows, span),
        Some(b) => {
            let rows = scaling::scaled(&rows, b);
            let span = span_of(&rows);
            (rows, span)
        }
    };
    let scheme = match asked {
        Some(scheme) => scheme,
        None if modes.is_some() => Scheme::Aggregation,
        None => recipe::of(&rows),
    };
    let plan = params.plan(scheme, symmetric);
    let mut of_rows = coarsening::Known { component, modes };
    let level_system = |rows: &Rows<'_, f64>| Ok(system.for_matrix(DistCsr::solo(rows.to_csr()?)?));
    let narrow = span.1 / span.0 <= SPAN && params.precision == Precision::Single;
    let scale = 1.0 / power_of_two(span.1);
    let (wish, host) = (params.wish(symmetric), &**system.host());
    let mut sizes = vec![];
    if let Some(a) = all_single(params, symmetric, narrow, &rows, scale) {
        let first = First { a, scale, known: of_rows };
        let mut sweeps = |_: usize, _: &Rows<'_, f32>| Ok(Smoother::GaussSeidel);
        let old = match old {
            Some(Hierarchy::Single(old)) => Some(old.all),
            _ => None,
        };
        let made = Coarse::new(&plan, first, old, &mut sweeps, host, &mut sizes)?;
        if let Made::Whole(all) = made {
            let frame = Frame { order, scaling };
            let notes = describe(&plan, &sizes, block, &frame, "");
            let work = Hierarchy::Single(Box::new(Single { all, steps: plan.steps, frame }));
            return Ok(Setup { work, symmetric: false, definite: false, notes });
        }
        return Err(Error::Breakdown("the coarsest matrix is singular".into()));
    }
    let scalar = block == 1 && of_rows.modes.is_none();
    let (smoother, traits) =
        finest_smoother(params.finest_smoother, wish, &rows, scalar, &level_system)?;
    let mut known = Known {
        symmetric: symmetric && params.before == params.after && traits.symmetric,
        definite: traits.definite,
        notes: traits.note.into_iter().collect(),
    };
    let (old_down, vectors, old_coarse) = match old {
        Some(Hierarchy::Levels(old)) => {
            let Levels { mut finest, coarse, .. } = *old;
            (finest.down.take(), finest.vectors(), coarse)
        }
        _ => (None, Default::default(), Lower::None),
    };
    sizes.push(Size { rows: rows.len(), entries: rows.nnz(), interpolation: 0 });
    let (mut coarse, mut down) = (Lower::None, None);
    if let Some((p, way)) = coarsening::next(&plan.rule, &rows, &mut of_rows, old_down) {
        sizes[0].interpolation = p.cols.len();
        let kept = of_rows.modes.as_ref().map(Modes::width);
        let from = Finest { a: &rows, p: &p, r: &way.r, scale, known: of_rows };
        let below = Below { params, plan: &plan, system, sizes: &mut sizes, known: &mut known };
        coarse = below.levels(from, old_coarse, narrow, &level_system)?;
        known
            .notes
            .extend(kept.map(|k| format!("aggregates keep {k} vectors of the near null space")));
        down = Some(way);
    }
    let Known { symmetric: is_symmetric, definite, mut notes } = known;
    let what = match coarse {
        Lower::None => "nothing to lump together: smoothing alone",
        Lower::Double(_) => "levels below the finest in double precision",
        Lower::Single(_) => "",
    };
    let frame = Frame { order, scaling };
    notes.splice(0..0, describe(&plan, &sizes, block, &frame, what));
    if is_symmetric && !definite {
        notes.push("not found to be positive definite".into());
    }
    let steps = plan.steps;
    let most = steps[0].max(steps[1]);
    let finest = Level::new(&rows, symmetric, smoother, down, most, vectors);
    let work = Hierarchy::Levels(Box::new(Levels { finest, coarse, steps, frame }));
    Ok(Setup { work, symmetric: is_symmetric, definite, notes })
}

/// Entries per row above which incomplete Cholesky smooths the finest level better than sweeps do.
const LONG: usize = 11;

/// What smooths on the finest level: `own`, or what smooths everywhere; where neither is said, incomplete Cholesky for long
/// rows of a `scalar` problem.
fn finest_smoother(
    own: Option<Kind>,
    everywhere: Wish<'_>,
    rows: &Rows<'_, f64>,
    scalar: bool,
    system: &dyn Fn(&Rows<'_, f64>) -> Result<System>,
) -> Result<(Smoother<f64>, Traits)> {
    let wish = match own {
        Some(kind) => Wish { kind: Some(kind), method: None, ..everywhere },
        None if scalar && everywhere.is_open() && rows.nnz() > LONG * rows.len() => {
            return incomplete(0, rows, everywhere.symmetric);
        }
        None => everywhere,
    };
    wish.smoother(0, || system(rows))
}

/// A in single precision, where all levels can be.
fn all_single<'a>(
    params: &Params,
    symmetric: bool,
    narrow: bool,
    rows: &'a Rows<'_, f64>,
    scale: f64,
) -> Option<Rows<'a, f32>> {
    let sweeps = params.wish(symmetric).in_single()
        && params.finest_smoother.is_none_or(|kind| kind == Kind::GaussSeidel);
    if symmetric || !narrow || !sweeps { None } else { rows.narrowed(scale) }
}

/// The finest level, and the way down from it.
#[derive(Clone)]
struct Finest<'a> {
    a: &'a Rows<'a, f64>,
    p: &'a Prolongation,
    r: &'a Restriction,
    scale: f64,
    /// What is known of the rows of the next level.
    known: coarsening::Known,
}

impl Finest<'_> {
    /// The matrix of the next level.
    fn next<T: Number>(self, host: &dyn Host) -> Result<First<'static, T>> {
        let a = galerkin::product::<f64, T>(host, self.a, self.p, self.r, self.scale)?;
        Ok(First { a, scale: self.scale, known: self.known })
    }
}

/// What is known of M so far.
struct Known {
    symmetric: bool,
    definite: bool,
    notes: Vec<String>,
}

/// What the levels below the finest are made with.
struct Below<'a> {
    params: &'a Params,
    plan: &'a Plan,
    system: &'a System,
    sizes: &'a mut Vec<Size>,
    known: &'a mut Known,
}

impl Below<'_> {
    /// They, in single precision where that is wanted, possible (`narrow`) and enough.
    fn levels(
        self,
        from: Finest<'_>,
        old: Lower,
        narrow: bool,
        level_system: &dyn Fn(&Rows<'_, f64>) -> Result<System>,
    ) -> Result<Lower> {
        let Below { params, plan, system, sizes, known } = self;
        let host = &**system.host();
        let wish = params.wish(plan.rule.symmetric);
        let (single, double) = match old {
            Lower::Single(coarse) => (Some(coarse), None),
            Lower::Double(coarse) => (None, Some(coarse)),
            Lower::None => (None, None),
        };
        if narrow && wish.in_single() {
            let mut sweeps = |_: usize, _: &Rows<'_, f32>| Ok(Smoother::GaussSeidel);
            let mut of_levels = sizes.clone();
            let made = Coarse::new(
                plan,
                from.clone().next(host)?,
                single,
                &mut sweeps,
                host,
                &mut of_levels,
            )?;
            if let Made::Whole(made) = made {
                *sizes = of_levels;
                return Ok(Lower::Single(made));
            }
        }
        let mut make = |level: usize, rows: &Rows<'_, f64>| {
            let (smoother, traits) = wish.smoother(level, || level_system(rows))?;
            known.symmetric &= traits.symmetric;
            known.definite &= traits.definite;
            known.notes.extend(traits.note);
            Ok(smoother)
        };
        let made = Coarse::new(plan, from.next(host)?, double, &mut make, host, sizes)?;
        Ok(match made {
            Made::Whole(made) => {
                known.definite &= made.is_definite();
                Lower::Double(made)
            }
            Made::NotDefinite => Lower::None,
        })
    }
}

/// The smallest and the largest diagonal entry, all of which are positive and finite.
fn check_diagonal(a: &DistCsr, rows: &Rows<'_, f64>, order: Option<&Order>) -> Result<(f64, f64)> {
    for (i, &d) in rows.diagonal.iter().enumerate() {
        if !(d > 0.0 && d.is_finite()) {
            let i = order.map_or(i, |order| order.old[i] as usize);
            let why = format!("the diagonal entry is {d}; amg needs it to be positive");
            return Err(Error::breakdown(a.global_row(i), why));
        }
    }
    Ok(span_of(rows))
}

fn span_of(rows: &Rows<'_, f64>) -> (f64, f64) {
    rows.diagonal.iter().fold((f64::INFINITY, 0.0), |(low, high), &d| (low.min(d), high.max(d)))
}

/// Unknowns a node: as given, as the system knows, or as the pattern tells. Collective.
///
/// # Errors
/// [`Error::Parameter`] where the unknowns, or a rank's, are no nodes of so many.
pub(crate) fn block_size(params: &Params, system: &System) -> Result<usize> {
    let a = system.a();
    let block = match (params.block_size, system.block_size()?) {
        (Some(block), _) => block as usize,
        (None, 1) => blocks::find(a)?,
        (None, told) => told,
    };
    let whole = |n: &u64| n.is_multiple_of(block as u64);
    if block > 255 || !a.space().starts().iter().all(whole) {
        let n = a.n_global();
        let why = format!(
            "parameter 'block_size': {n} unknowns, or those of each rank, are not nodes of {block} each"
        );
        return Err(Error::Parameter(why));
    }
    Ok(block)
}

/// A block that is small enough to be inverted.
fn direct(rows: &Rows<'_, f64>, symmetric: bool, old: Option<Hierarchy>) -> Result<Setup> {
    let room = match old {
        Some(Hierarchy::Direct(inverse)) => inverse.into_entries(),
        _ => vec![],
    };
    let sure = if symmetric { Inverse::definite(rows, 0.0, room)? } else { None };
    let definite = sure.is_some();
    let inverse = match sure {
        None => Inverse::general(rows)?,
        sure => sure,
    };
    let inverse = inverse.ok_or_else(|| Error::Breakdown("A is singular".into()))?;
    let notes = vec![format!("{} unknowns, solved directly", rows.len())];
    Ok(Setup { work: Hierarchy::Direct(inverse), symmetric, definite, notes })
}

/// What a reader of a report should know of the levels.
fn describe(plan: &Plan, sizes: &[Size], block: usize, frame: &Frame, what: &str) -> Vec<String> {
    let scheme = match plan.rule.scheme {
        Scheme::Aggregation => "smoothed aggregation",
        Scheme::Classical => "classical coarsening",
    };
    let mut notes = self::sizes(scheme, plan.rule.theta, sizes);
    if block > 1 {
        notes.push(per_node(block));
    }
    if frame.order.is_some() {
        notes.push("unknowns renumbered breadth first".into());
    }
    if frame.scaling.is_some() {
        notes.push("unknowns scaled, as the row sums of A are not small".into());
    }
    if !what.is_empty() {
        notes.push(what.into());
    }
    notes
}

/// How large the levels are.
pub(crate) fn sizes(scheme: &str, theta: f64, sizes: &[Size]) -> Vec<String> {
    let finest = sizes[0];
    let rows: usize = sizes.iter().map(|s| s.rows).sum();
    let entries: usize = sizes.iter().map(|s| s.entries).sum();
    let mut notes = vec![format!(
        "{} levels by {scheme}, strength {theta}: operator complexity {:.2}, grid complexity {:.2}",
        sizes.len(),
        entries as f64 / finest.entries.max(1) as f64,
        rows as f64 / finest.rows.max(1) as f64
    )];
    for (level, size) in sizes.iter().enumerate() {
        let per_row = |entries: usize| entries as f64 / size.rows.max(1) as f64;
        notes.push(format!(
            "level {level}: {} unknowns, {:.1} entries per row, {:.1} of P",
            size.rows,
            per_row(size.entries),
            per_row(size.interpolation)
        ));
    }
    notes
}

/// How many unknowns a node has.
pub(crate) fn per_node(block: usize) -> String {
    format!("{block} unknowns per node, coarsened one by one")
}
