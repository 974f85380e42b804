//! How the levels of a rank's block are made.
use crate::amg::{Levels, Lower, Work};
use crate::blocks;
use crate::coarsening::{self, Down, Scheme};
use crate::coarsest::Inverse;
use crate::hierarchy::{Coarse, Finest, Made, Plan, Size, power_of_two};
use crate::level::Level;
use crate::modes::Modes;
use crate::order;
use crate::params::{Params, Precision};
use crate::rows::{Order, Rows};
use crate::smoother::Smoother;
use precondor_sdk::prelude::*;

/// Single precision does not go beyond this ratio of diagonal entries.
const SPAN: f64 = 1e25;

/// What setup gives.
pub(crate) struct Setup {
    pub work: Work,
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
    old: Option<Work>,
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
    let plan = params.plan(symmetric);
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
    let modes = match plan.rule.scheme {
        Scheme::Aggregation => Modes::of(system, params.near_null_space, block, order.as_ref())?,
        Scheme::Classical => None,
    };
    let mut of_rows = coarsening::Known { component, modes };
    let level_system = |rows: &Rows<'_, f64>| Ok(system.for_matrix(DistCsr::solo(rows.to_csr()?)?));
    let (smoother, traits) = params.wish(symmetric).smoother(0, || level_system(&rows))?;
    let mut known = Known {
        symmetric: symmetric && params.before == params.after && traits.symmetric,
        definite: traits.definite,
        notes: traits.note.into_iter().collect(),
    };
    let (old_down, vectors, old_coarse) = match old {
        Some(Work::Levels(old)) => {
            let Levels { mut finest, coarse, .. } = *old;
            (finest.down.take(), finest.vectors(), coarse)
        }
        _ => (None, Default::default(), Lower::None),
    };
    let mut sizes = vec![Size { rows: rows.len(), entries: rows.nnz(), interpolation: 0 }];
    let (mut coarse, mut down) = (Lower::None, None);
    if let Some((p, way)) = coarsening::next(&plan.rule, &rows, &mut of_rows, old_down) {
        sizes[0].interpolation = p.cols.len();
        let Down { r, .. } = &way;
        let scale = 1.0 / power_of_two(span.1);
        let kept = of_rows.modes.as_ref().map(Modes::width);
        let from = Finest { a: &rows, p: &p, r, scale, known: of_rows };
        let narrow = span.1 / span.0 <= SPAN;
        let below = Below { params, plan: &plan, system, sizes: &mut sizes, known: &mut known };
        coarse = below.levels(from, old_coarse, narrow, &level_system)?;
        known
            .notes
            .extend(kept.map(|k| format!("aggregates keep {k} vectors of the near null space")));
        down = Some(way);
    }
    let Known { symmetric: is_symmetric, definite, mut notes } = known;
    notes.splice(0..0, describe(&plan, &sizes, block, order.is_some(), &coarse));
    if is_symmetric && !definite {
        notes.push("not found to be positive definite".into());
    }
    let steps = plan.steps;
    let most = steps[0].max(steps[1]);
    let finest = Level::new(&rows, symmetric, smoother, down, most, vectors);
    let work = Work::Levels(Box::new(Levels { finest, coarse, steps, order }));
    Ok(Setup { work, symmetric: is_symmetric, definite, notes })
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
        if narrow && params.precision == Precision::Single && wish.in_single() {
            let mut sweeps = |_: usize, _: &Rows<'_, f32>| Ok(Smoother::GaussSeidel);
            let mut of_levels = sizes.clone();
            let made = Coarse::new(plan, from.clone(), single, &mut sweeps, host, &mut of_levels)?;
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
        let made = Coarse::new(plan, from, double, &mut make, host, sizes)?;
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
    let mut span = (f64::INFINITY, 0.0f64);
    for (i, &d) in rows.diagonal.iter().enumerate() {
        if !(d > 0.0 && d.is_finite()) {
            let i = order.map_or(i, |order| order.old[i] as usize);
            let why = format!("the diagonal entry is {d}; amg needs it to be positive");
            return Err(Error::breakdown(a.global_row(i), why));
        }
        span = (span.0.min(d), span.1.max(d));
    }
    Ok(span)
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
fn direct(rows: &Rows<'_, f64>, symmetric: bool, old: Option<Work>) -> Result<Setup> {
    let room = match old {
        Some(Work::Direct(inverse)) => inverse.into_entries(),
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
    Ok(Setup { work: Work::Direct(inverse), symmetric, definite, notes })
}

/// What a reader of a report should know of the levels.
fn describe(
    plan: &Plan,
    sizes: &[Size],
    block: usize,
    reordered: bool,
    coarse: &Lower,
) -> Vec<String> {
    let scheme = match plan.rule.scheme {
        Scheme::Aggregation => "smoothed aggregation",
        Scheme::Classical => "classical coarsening",
    };
    let mut notes = self::sizes(scheme, plan.rule.theta, sizes);
    if block > 1 {
        notes.push(per_node(block));
    }
    if reordered {
        notes.push("unknowns renumbered breadth first".into());
    }
    match coarse {
        Lower::None => notes.push("nothing to lump together: smoothing alone".into()),
        Lower::Double(_) => notes.push("levels below the finest in double precision".into()),
        Lower::Single(_) => {}
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
