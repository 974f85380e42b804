//! Levels that are the same on any number of ranks.
//!
//! Smoothed aggregation as in `interpolation.rs`, on aggregates that a hash decides (`aggregates.rs`), with
//! Chebyshev smoothing or any method that does not depend on the ranks. Matrices and transfers are spread over
//! the ranks (`kernel/rectangle.rs` of the core); no rank holds a level of more than `together` unknowns:
//! smaller ones are gathered, and every rank goes on alone, with the levels that one rank would make.
//!
//! Cost: an application exchanges ghost entries five times a level (two Chebyshev steps before and after, the
//! residual between; two transfers more) and gathers the residual once.
use crate::amg::Hierarchy;
use crate::coarsening::Scheme;
use crate::hierarchy::Size;
use crate::interpolation::Truncation;
use crate::modes::NearNullSpace;
use crate::params::{Params, Recipe};
use crate::setup::{self, Setup, Unknowns};
use crate::smoother::{Kind, Step, Wish};
use aggregates::{Aggregates, NONE};
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::gather::Gather;
use precondor_sdk::core::kernel::rectangle::Rectangle;
use precondor_sdk::core::kernel::split::Block;
use precondor_sdk::prelude::*;
use std::sync::Arc;
use strength::Strong;

mod aggregates;
mod strength;

/// The levels, and the finest vectors.
pub(crate) struct Spread {
    levels: Vec<Level>,
    tail: Tail,
    steps: [u32; 2],
    host: Arc<dyn Host>,
}

struct Level {
    a: DistCsr,
    smoother: Box<dyn Step<f64>>,
    /// From the next level, and to it.
    p: Block,
    r: Block,
    /// b, x, b − A x, a step.
    vectors: [Vec<f64>; 4],
}

/// What lies above the levels that every rank has whole.
struct Above {
    levels: usize,
    /// The unknown of its node that each own row is.
    component: Option<Vec<f64>>,
}

/// What every rank has whole.
struct Tail {
    gather: Gather,
    /// Right-hand side and solution on all rows.
    whole: [Vec<f64>; 2],
    /// Right-hand side and solution on own rows.
    own: [Vec<f64>; 2],
    first: usize,
    work: Box<Hierarchy>,
}

/// The levels of a symmetric matrix. Collective; `old` are those before the values changed.
///
/// # Errors
/// [`Error::Breakdown`] for a diagonal entry that is not positive, not on all ranks; what smoothers and the
/// communicator report.
pub(crate) fn setup(
    params: &Params,
    system: &System,
    block: usize,
    old: Option<Spread>,
) -> Result<Setup> {
    let plan = params.plan(Scheme::Aggregation, true);
    let (wish, host) = (params.wish(true), system.host());
    let first = system.a().space().start();
    let component = |i: usize| ((first + i as u64) % block as u64) as f64;
    let mut component: Vec<f64> = (0..system.a().n_own()).map(component).collect();
    let (old_levels, old_tail) =
        old.map_or_else(Default::default, |old| (old.levels, Some(old.tail)));
    let mut spare: Vec<[Vec<f64>; 4]> =
        old_levels.into_iter().rev().map(|level: Level| level.vectors).collect();
    let mut system_of = system.clone();
    let (mut levels, mut sizes, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut symmetric, mut definite) = (plan.steps[0] == plan.steps[1], true);
    let n = system.a().n_global();
    loop {
        let a = system_of.a().clone();
        host.step((n - a.n_global()) as usize, n as usize, "rows coarsened")?;
        sizes.push(Size {
            rows: a.n_global() as usize,
            entries: a.nnz_global()? as usize,
            interpolation: 0,
        });
        if a.n_global() <= params.together.into() || levels.len() + 1 >= plan.levels {
            break;
        }
        let theirs = a.on_ghosts(&component)?;
        let known: Vec<f64> = component.iter().copied().chain(theirs).collect();
        let strong = Strong::of(&a, plan.rule.theta, &known)?;
        let aggregates = Aggregates::of(&a, &strong)?;
        if aggregates.space.n_global() == 0 {
            break;
        }
        let p = prolongation(&a, &strong, &aggregates, plan.rule.truncation)?;
        if let Some(size) = sizes.last_mut() {
            size.interpolation = entries(&p)?;
        }
        let r = p.transpose()?;
        let coarse = r.times(&Rectangle::of(&a).times(&p)?)?.matrix()?;
        let number = levels.len();
        let wish = match params.finest_smoother.filter(|_| number == 0) {
            Some(kind) => Wish { kind: Some(kind), method: None, ..wish },
            None => wish,
        };
        let (smoother, traits) = wish.spread(number, &system_of)?;
        (symmetric, definite) = (symmetric && traits.symmetric, definite && traits.definite);
        notes.extend(traits.note);
        let vectors = sized(spare.pop().unwrap_or_default(), a.n_own());
        let (p, r) = (p.operator()?, r.operator()?);
        component = aggregates.roots.iter().map(|&i| component[i]).collect();
        levels.push(Level { a: a.with_host(Arc::clone(host)), smoother, p, r, vectors });
        system_of = system.for_matrix(coarse);
    }
    let a = system_of.a();
    if a.n_global() > params.together.into() {
        let n = a.n_global();
        notes.push(format!("{n} unknowns are left on every rank: nothing lumps them together"));
    }
    let above = Above { levels: levels.len(), component: (block > 1).then_some(component) };
    let (tail, of_tail) = Tail::new(params, system, a, above, old_tail)?;
    notes.extend(of_tail.notes.iter().map(|note| format!("on every rank: {note}")));
    symmetric &= of_tail.symmetric;
    definite &= of_tail.definite;
    let mut all = setup::sizes("aggregation by hashed weights", plan.rule.theta, &sizes);
    if block > 1 {
        all.push(setup::per_node(block));
    }
    all.extend(notes);
    let spread = Spread { levels, tail, steps: plan.steps, host: Arc::clone(host) };
    let work = Hierarchy::Spread(Box::new(spread));
    Ok(Setup { work, symmetric, definite, notes: all })
}

/// Entries on all ranks. Collective.
fn entries(p: &Rectangle) -> Result<usize> {
    let counts = p.rows().comm().all_gather(&[p.nnz_own() as u64])?;
    Ok(counts.iter().map(|c| c[0] as usize).sum())
}

fn sized(vectors: [Vec<f64>; 4], n: usize) -> [Vec<f64>; 4] {
    vectors.map(|mut vector| {
        vector.resize(n, 0.0);
        vector
    })
}

/// P = (I − ω D⁻¹ Aˢ) T, shortened, as in `interpolation.rs`. Not collective.
fn prolongation(
    a: &DistCsr,
    strong: &Strong,
    aggregates: &Aggregates,
    by: Truncation,
) -> Result<Rectangle> {
    let of = &aggregates.of;
    let (mut row_ptr, mut cols, mut values) = (vec![0], Vec::new(), Vec::new());
    let mut row: Vec<(u64, f64)> = Vec::new();
    for i in 0..a.n_own() {
        row.clear();
        if of[i] != NONE {
            let lumped = 1.0 + strong.weak[i];
            let d = if lumped < 0.1 { 1.0 } else { lumped };
            let sum: f64 = strong.entries(i).map(|(_, v)| -v).sum();
            let omega = (4.0 / 3.0) / (1.0 + sum / d);
            add(&mut row, of[i], 1.0 - omega);
            for (j, v) in strong.entries(i).filter(|&(j, _)| of[j] != NONE) {
                add(&mut row, of[j], -omega / d * v);
            }
            shorten(&mut row, by);
        }
        cols.extend(row.iter().map(|e| e.0));
        values.extend(row.iter().map(|e| e.1));
        row_ptr.push(cols.len());
    }
    Rectangle::new(a.space(), &aggregates.space, row_ptr, cols, values)
}

fn add(row: &mut Vec<(u64, f64)>, col: f64, value: f64) {
    let col = col as u64;
    match row.iter_mut().find(|e| e.0 == col) {
        Some(entry) => entry.1 += value,
        None => row.push((col, value)),
    }
}

/// Keeps the largest entries, in order of columns, and their sum.
fn shorten(row: &mut Vec<(u64, f64)>, by: Truncation) {
    let sum: f64 = row.iter().map(|e| e.1).sum();
    row.sort_by(|x, y| y.1.abs().total_cmp(&x.1.abs()).then(x.0.cmp(&y.0)));
    let limit = f64::from(by.drop) * row.first().map_or(0.0, |e| e.1.abs());
    row.retain(|e| e.1.abs() >= limit);
    row.truncate(by.entries);
    let left: f64 = row.iter().map(|e| e.1).sum();
    if left != 0.0 {
        row.iter_mut().for_each(|e| e.1 *= sum / left);
    }
    row.sort_by_key(|e| e.0);
}

impl Tail {
    /// The levels of `a`, gathered, as one rank makes them, in what is left of earlier ones. Collective.
    fn new(
        params: &Params,
        system: &System,
        a: &DistCsr,
        above: Above,
        old: Option<Tail>,
    ) -> Result<(Self, Setup)> {
        let space = a.space();
        let unknowns = match above.component {
            None => Unknowns::PerNode(1),
            Some(own) => {
                let mine: Vec<u64> = own.iter().map(|&c| c as u64).collect();
                let all = space.comm().all_gather(&mine)?;
                Unknowns::Each(all.iter().flatten().map(|&c| c as u8).collect())
            }
        };
        let n = space.n_global() as usize;
        let whole = whole(a)?;
        let alone = system.for_matrix(DistCsr::solo(whole)?);
        let levels = params.levels.map(|all| all.saturating_sub(above.levels as u32).max(1));
        // Its finest level is none of A's, where there are levels above it.
        let everywhere = params.smoother.unwrap_or(Kind::GaussSeidel);
        let finest_smoother = match above.levels {
            0 => params.finest_smoother,
            _ => params.method.is_none().then_some(everywhere),
        };
        let of_tail = Params {
            finest_smoother,
            recipe: Recipe::Aggregation,
            near_null_space: NearNullSpace::Constant,
            levels,
            ..params.clone()
        };
        let (work, [mut b, mut x], own) = match old {
            Some(Tail { work, whole, own, .. }) => (Some(*work), whole, own),
            None => Default::default(),
        };
        let mut made = setup::setup(&of_tail, &alone, true, unknowns, work)?;
        let work = Box::new(std::mem::replace(&mut made.work, Hierarchy::nothing()));
        b.resize(n, 0.0);
        x.resize(n, 0.0);
        let own = own.map(|mut vector: Vec<f64>| {
            vector.resize(space.n_own(), 0.0);
            vector
        });
        let first = space.start() as usize;
        let tail = Tail { gather: Gather::new(space), whole: [b, x], own, first, work };
        Ok((tail, made))
    }

    fn solve(&mut self, host: &dyn Host) -> Result<()> {
        let Tail { gather, whole: [b, x], own: [mine, z], first, work } = self;
        gather.whole(mine, b)?;
        let applied = work.apply(host, b, x);
        let own = *first..*first + z.len();
        z.copy_from_slice(&x[own]);
        applied
    }
}

/// All rows on every rank, in double precision. Collective.
fn whole(a: &DistCsr) -> Result<Csr> {
    let (n, comm) = (a.n_global() as usize, a.space().comm());
    let mut mine = Vec::new();
    for i in 0..a.n_own() {
        for (j, v) in a.global_entries(i) {
            mine.extend([a.global_row(i), j, v.to_bits()]);
        }
    }
    let (mut row_ptr, mut cols, mut values) = (vec![0u32; n + 1], Vec::new(), Vec::new());
    for words in comm.all_gather(&mine)? {
        for entry in words.chunks_exact(3) {
            row_ptr[entry[0] as usize + 1] += 1;
            cols.push(entry[1] as u32);
            values.push(f64::from_bits(entry[2]));
        }
    }
    for i in 0..n {
        row_ptr[i + 1] += row_ptr[i];
    }
    Csr::new(n, row_ptr, cols, values)
}

impl Spread {
    /// `z = M r` on own rows. Collective.
    pub fn apply(&mut self, r: &[f64], z: &mut [f64]) -> Result<()> {
        match self.levels.first_mut() {
            Some(level) => level.vectors[0].copy_from_slice(r),
            None => self.tail.own[0].copy_from_slice(r),
        }
        let applied = self.cycle(0);
        z.copy_from_slice(self.levels.first().map_or(&self.tail.own[1], |level| &level.vectors[1]));
        applied
    }

    /// The cycle from level `number` on; its right-hand side is in place, and so is the result. A step that
    /// failed does not keep the others from theirs.
    fn cycle(&mut self, number: usize) -> Result<()> {
        let Spread { levels, tail, steps, host } = self;
        let Some(level) = levels.get_mut(number) else { return tail.solve(&**host) };
        let mut end = level.before(steps[0]);
        let (mine, below) = levels.split_at_mut(number + 1);
        let b = match below.first_mut() {
            Some(next) => &mut next.vectors[0],
            None => &mut tail.own[0],
        };
        let Level { r, vectors: [_, _, rest, _], .. } = &mut mine[number];
        r.multiply(&**host, rest, b)?;
        end = end.and(self.cycle(number + 1));
        let Spread { levels, tail, steps, host } = self;
        let (mine, below) = levels.split_at_mut(number + 1);
        let z = below.first().map_or(&tail.own[1], |next| &next.vectors[1]);
        let Level { p, vectors: [_, x, _, step], .. } = &mut mine[number];
        p.multiply(&**host, z, step)?;
        x.iter_mut().zip(&*step).for_each(|(x, s)| *x += s);
        end.and(mine[number].after(steps[1]))
    }

    pub fn stored_entries(&self) -> usize {
        let level =
            |l: &Level| l.a.nnz_own() + l.p.nnz_own() + l.r.nnz_own() + l.smoother.stored_entries();
        self.levels.iter().map(level).sum::<usize>() + self.tail.work.stored_entries()
    }
    pub fn bytes(&self) -> usize {
        let level = |l: &Level| {
            let vectors: usize = l.vectors.iter().map(Vec::len).sum();
            // The finest matrix is the caller's; it is counted all the same, as a copy may be.
            l.a.bytes() + l.p.bytes() + l.r.bytes() + l.smoother.bytes() + 8 * vectors
        };
        let tail = &self.tail;
        let vectors: usize = tail.whole.iter().chain(&tail.own).map(Vec::len).sum();
        let of_tail = tail.work.bytes() + tail.gather.bytes() + 8 * vectors;
        self.levels.iter().map(level).sum::<usize>() + of_tail
    }
}

impl Level {
    /// `steps` steps from zero: x, and rest = b − A x. Collective.
    fn before(&mut self, steps: u32) -> Result<()> {
        let Level { a, smoother, vectors: [b, x, rest, _], .. } = self;
        let end = smoother.times(&mut |z, out| residual(a, b, z, out), b, x, false);
        residual(a, b, x, rest)?;
        let mut end = end;
        for _ in 1..steps {
            end = end.and(self.correct(false));
        }
        end
    }

    /// `steps` steps of the transposed smoother from x. Collective.
    fn after(&mut self, steps: u32) -> Result<()> {
        let Level { a, vectors: [b, x, rest, _], .. } = self;
        residual(a, b, x, rest)?;
        let mut end = Ok(());
        for _ in 0..steps {
            end = end.and(self.correct(true));
        }
        end
    }

    /// `x ← x + S rest`, or Sᵀ, and rest = b − A x again. Collective.
    fn correct(&mut self, transposed: bool) -> Result<()> {
        let Level { a, smoother, vectors: [b, x, rest, step], .. } = self;
        let end = smoother.times(&mut |z, out| residual(a, rest, z, out), rest, step, transposed);
        x.iter_mut().zip(&*step).for_each(|(x, s)| *x += s);
        residual(a, b, x, rest)?;
        end
    }
}

/// `out = b − A x`. Collective.
fn residual(a: &DistCsr, b: &[f64], x: &[f64], out: &mut [f64]) -> Result<()> {
    a.spmv(x, out)?;
    out.iter_mut().zip(b).for_each(|(out, b)| *out = b - *out);
    Ok(())
}
