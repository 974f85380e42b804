//! The fast solve: modes along all axes but the last, one tridiagonal system along the last for each of them.
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::chain::{MODES, Systems, width};
use super::line::{Line, Lines};
use super::number::Number;
use super::operator::Separable;
use super::{GRAIN, Lattice};
use crate::Result;
use crate::comm::Comm;
use crate::host::Host;
use crate::kernel::chunks::{self, RUNS};
use crate::kernel::grid::Grid;
use crate::kernel::slab::{Slabs, Transpose};

/// Solves with a separable operator on a grid that is spread over ranks by [`Slabs`], or on one rank.
///
/// A *layer* is what one place along the last axis has: a row of nodes in two dimensions, a plane in three. Slabs are made of
/// layers; for them a grid is one of `layer` by `layers` nodes ([`layers`](Solver::layers)).
///
/// ```
/// use precondor_core::{host::Alone, kernel::separable::{Separable, Solver}};
/// let mut solver = Solver::<f64>::alone(&Separable::laplacian(&[2, 1]))?;
/// let mut x = [3.0, 3.0];
/// solver.solve(&Alone, &mut x, 2)?;
/// assert!((x[0] - 1.0).abs() < 1e-15 && (x[1] - 1.0).abs() < 1e-15);
/// # Ok::<(), precondor_core::Error>(())
/// ```
pub struct Solver<T> {
    /// Nodes along x, and rows of nodes in a layer.
    row: [usize; 2],
    /// That this rank solves for.
    modes: Range<usize>,
    /// Of every axis but the last.
    lines: Vec<Line<T>>,
    systems: Systems<T>,
    transpose: Option<Transpose<T>>,
    /// The slab among the layers around it.
    slab: Range<usize>,
    layers: usize,
    scratch: Scratch<T>,
}

struct Scratch<T> {
    /// The modes, block after block.
    modes: Vec<T>,
    /// For every run of layers: lines of every axis.
    lines: Vec<Mutex<Vec<Lines<T>>>>,
    /// What the singular system is solved in.
    spare: Vec<f64>,
}

impl<T: Number> Solver<T> {
    /// The solver of one rank.
    ///
    /// # Errors
    /// As [`Separable::check`]; [`Error::Breakdown`](crate::Error::Breakdown) where the modes of an axis are not found.
    pub fn alone(operator: &Separable) -> Result<Self> {
        Self::plan(operator, None)
    }

    /// The solver for the layers [around](Slabs::around) every rank's nodes and `halo` more on both sides; slabs are those
    /// of the grid [`layers`](Self::layers). Collective.
    ///
    /// # Errors
    /// As [`alone`](Self::alone); what the communicator reports.
    ///
    /// # Panics
    /// Where the slabs are of another number of ranks than `comm` has.
    pub fn new(operator: &Separable, slabs: &Slabs, comm: &Comm, halo: usize) -> Result<Self> {
        assert_eq!(slabs.ranks(), comm.size(), "slabs are those of the ranks");
        match comm.size() {
            1 => Self::alone(operator),
            _ => Self::plan(operator, Some((slabs, comm, halo))),
        }
    }

    /// The grid of layers, for [`Slabs`].
    pub fn layers(lattice: Lattice) -> Grid {
        let last = lattice.dims[lattice.dimension - 1];
        Grid { mx: lattice.nodes() / last.max(1), my: last }
    }

    fn plan(operator: &Separable, ranks: Option<(&Slabs, &Comm, usize)>) -> Result<Self> {
        operator.check()?;
        let dims = operator.dims();
        let (&all, others) = dims.split_last().expect("checked");
        let layer: usize = others.iter().product();
        let (modes, slab, layers) = match ranks {
            None => (0..layer, 0..all, all),
            Some((slabs, comm, halo)) => {
                let (rank, around) = (comm.rank(), slabs.around(comm.rank(), halo));
                let slab = slabs.rows(rank);
                let slab = slab.start - around.start..slab.end - around.start;
                (slabs.columns(rank), slab, around.len())
            }
        };
        let width = if ranks.is_some() { width(modes.len()) } else { MODES };
        let (lines, systems) = parts(operator, modes.clone(), width)?;
        let transpose = ranks
            .map(|(slabs, comm, halo)| Transpose::new(slabs, comm, halo, width))
            .transpose()?;
        let runs = layers.div_ceil(Self::grain(layer, layers)).min(RUNS);
        let scratch = Scratch {
            modes: vec![T::ZERO; systems.len()],
            lines: benches(&lines, runs),
            spare: systems.spare(),
        };
        let row = [others[0], layer / others[0]];
        Ok(Solver { row, modes, lines, systems, transpose, slab, layers, scratch })
    }

    /// The same solver for another operator on the same grid, with all that depends on the grid alone. Not collective.
    ///
    /// # Errors
    /// As [`alone`](Self::alone).
    ///
    /// # Panics
    /// Where the grid is another one.
    pub fn renew(&mut self, operator: &Separable) -> Result<()> {
        let (lines, systems) = parts(operator, self.modes.clone(), self.systems.width())?;
        assert_eq!(systems.len(), self.scratch.modes.len(), "a solver is of one grid");
        self.scratch.lines = benches(&lines, self.scratch.lines.len());
        self.scratch.spare = systems.spare();
        (self.lines, self.systems) = (lines, systems);
        Ok(())
    }

    /// Layers, at least, of so many that one thread transforms at a time: whole vectors of lines.
    fn grain(layer: usize, layers: usize) -> usize {
        let least = GRAIN.div_ceil(layer.max(1)).max(layers.div_ceil(RUNS));
        least.next_multiple_of(T::LANES.min(layers.max(1)))
    }

    /// Replaces the layers `x` around this rank's nodes by those of `A0⁻¹ x`, on the threads of `host`; of `x` itself
    /// the layers of the slab are read. Layers are `stride` numbers apart; what else stands between them is left
    /// alone. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports; what the host reports, after all communication.
    ///
    /// # Panics
    /// Where `x` is not as many layers of so many numbers.
    pub fn solve(&mut self, host: &dyn Host, x: &mut [T], stride: usize) -> Result<()> {
        let layer = self.row[0] * self.row[1];
        assert!(stride >= layer && x.len() == self.layers * stride, "layers of nodes");
        let Solver { row, lines, systems, transpose, slab, scratch, .. } = self;
        let way = Way { row: *row, lines, stride };
        let Scratch { modes, lines: benches, spare } = scratch;
        let own = &mut x[slab.start * stride..slab.end * stride];
        let done = way.transform(host, own, benches, false, |_, _| ());
        let Some(transpose) = transpose else {
            done?;
            systems.solve(host, Some((x, stride)), modes, spare)?;
            return way.transform(host, x, benches, true, |j, layer| {
                for (block, part) in layer.chunks_mut(systems.width()).enumerate() {
                    part.copy_from_slice(&modes[systems.part(block, j, part.len())]);
                }
            });
        };
        transpose.to_columns(own, stride, modes)?;
        let done = done.and(systems.solve(host, None, modes, spare));
        transpose.to_rows(modes, x, stride)?;
        done.and(way.transform(host, x, benches, true, |_, _| ()))
    }

    /// Axes that are transformed by dense matrices: those of other than equal spacings.
    pub fn dense_axes(&self) -> usize {
        self.lines.iter().filter(|line| !line.is_fast()).count()
    }

    /// Bytes held, work space included.
    pub fn bytes(&self) -> usize {
        let Scratch { modes, lines, spare } = &self.scratch;
        let bench = |lines: &Mutex<Vec<Lines<T>>>| -> usize {
            lines.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Lines::bytes).sum()
        };
        let scratch =
            size_of::<T>() * modes.len() + 8 * spare.len() + lines.iter().map(bench).sum::<usize>();
        let tables = self.lines.iter().map(Line::bytes).sum::<usize>() + self.systems.bytes();
        scratch + tables + self.transpose.as_ref().map_or(0, Transpose::bytes)
    }
}

/// Lines for so many runs of layers.
fn benches<T: Number>(lines: &[Line<T>], runs: usize) -> Vec<Mutex<Vec<Lines<T>>>> {
    (0..runs).map(|_| Mutex::new(lines.iter().map(Line::lines).collect())).collect()
}

/// The transforms of all axes but the last, and the systems of some modes, in blocks of `width`.
fn parts<T: Number>(
    operator: &Separable,
    modes: Range<usize>,
    width: usize,
) -> Result<(Vec<Line<T>>, Systems<T>)> {
    let (last, others) = operator.axes.split_last().expect("an operator has axes");
    let lines = others.iter().map(Line::new).collect::<Result<Vec<Line<T>>>>()?;
    let of_mode = |mode: usize| {
        let (mut sum, mut weight, mut rest) = (operator.shift, 1.0, mode);
        for line in &lines {
            let q = rest % line.eigenvalues().len();
            rest /= line.eigenvalues().len();
            sum += line.eigenvalues()[q].max(0.0);
            weight *= line.weights()[q];
        }
        (sum, weight)
    };
    let mut chosen: Vec<(f64, f64)> = modes.clone().map(of_mode).collect();
    if operator.is_singular() {
        settle_constants(&mut chosen, &lines, modes.start);
    }
    let systems = Systems::new(last, &chosen, width);
    Ok((lines, systems))
}

/// The constant mode of a singular operator has the eigenvalue zero, where rounding made it something else.
fn settle_constants<T: Number>(chosen: &mut [(f64, f64)], lines: &[Line<T>], first: usize) {
    let (mut at, mut stride) = (0, 1);
    for line in lines {
        let values = line.eigenvalues();
        let least = (0..values.len()).min_by(|&a, &b| values[a].total_cmp(&values[b]));
        at += stride * least.unwrap_or(0);
        stride *= values.len();
    }
    if let Some(mode) = at.checked_sub(first).and_then(|at| chosen.get_mut(at)) {
        mode.0 = 0.0;
    }
}

/// How layers are transformed.
#[derive(Clone, Copy)]
struct Way<'a, T> {
    row: [usize; 2],
    lines: &'a [Line<T>],
    stride: usize,
}

impl<T: Number> Way<'_, T> {
    /// Transforms the layers `x`, each after `fill(layer, x)`.
    fn transform(
        self,
        host: &dyn Host,
        x: &mut [T],
        benches: &[Mutex<Vec<Lines<T>>>],
        back: bool,
        fill: impl Fn(usize, &mut [T]) + Sync,
    ) -> Result<()> {
        let Way { row: [mx, rows], lines, stride } = self;
        let (layer, layers) = (mx * rows, x.len() / stride);
        let grain = Solver::<T>::grain(layer, layers);
        chunks::rows(host, layers, grain, [(x, stride)], |run, [x]| {
            let mut bench =
                benches[run.start / grain].lock().unwrap_or_else(PoisonError::into_inner);
            for (j, x) in run.zip(x.chunks_exact_mut(stride)) {
                fill(j, &mut x[..layer]);
            }
            let [bench_x, others @ ..] = &mut bench[..] else { return Ok(()) };
            let (Some(bench_y), Some(line_y)) = (others.first_mut(), lines.get(1)) else {
                along_x(&lines[0], bench_x, x, stride, mx, back);
                return Ok(());
            };
            for x in x.chunks_exact_mut(stride) {
                let x = &mut x[..layer];
                along_x(&lines[0], bench_x, x, mx, mx, back);
                along_y(line_y, bench_y, x, mx, back);
            }
            Ok(())
        })
    }
}

/// Places of a row that are moved together.
const TILE: usize = 16;

/// Rows of `mx` numbers, `stride` apart.
fn along_x<T: Number>(
    line: &Line<T>,
    lines: &mut Lines<T>,
    x: &mut [T],
    stride: usize,
    mx: usize,
    back: bool,
) {
    if line.is_fast() {
        x.chunks_mut(stride).for_each(|row| line.one(&mut row[..mx], lines, back));
        return;
    }
    for rows in x.chunks_mut(T::LANES * stride) {
        if rows.len() < T::LANES * stride {
            lines.x.fill(T::ZERO);
        }
        for (tile, to) in lines.x.chunks_mut(TILE * T::LANES).enumerate() {
            let places = tile * TILE..(tile * TILE + TILE).min(mx);
            for (lane, row) in rows.chunks(stride).enumerate() {
                for (to, v) in to.chunks_exact_mut(T::LANES).zip(&row[places.clone()]) {
                    to[lane] = *v;
                }
            }
        }
        line.side_by_side(lines, back);
        for (tile, from) in lines.x.chunks(TILE * T::LANES).enumerate() {
            let places = tile * TILE..(tile * TILE + TILE).min(mx);
            for (lane, row) in rows.chunks_mut(stride).enumerate() {
                for (from, v) in from.chunks_exact(T::LANES).zip(&mut row[places.clone()]) {
                    *v = from[lane];
                }
            }
        }
    }
}

/// Columns of a layer of rows of `mx` numbers, some at a time.
fn along_y<T: Number>(line: &Line<T>, lines: &mut Lines<T>, x: &mut [T], mx: usize, back: bool) {
    let my = x.len() / mx;
    for first in (0..mx).step_by(T::LANES) {
        let part = first..(first + T::LANES).min(mx);
        if line.is_fast() {
            for (j, row) in x.chunks_exact(mx).enumerate() {
                let column = lines.x[j..].iter_mut().step_by(my);
                column.zip(&row[part.clone()]).for_each(|(to, v)| *to = *v);
            }
            let mut columns = std::mem::take(&mut lines.x);
            for column in columns.chunks_exact_mut(my).take(part.len()) {
                line.one(column, lines, back);
            }
            lines.x = columns;
            for (j, row) in x.chunks_exact_mut(mx).enumerate() {
                let column = lines.x[j..].iter().step_by(my);
                row[part.clone()].iter_mut().zip(column).for_each(|(v, from)| *v = *from);
            }
            continue;
        }
        for (to, row) in lines.x.chunks_exact_mut(T::LANES).zip(x.chunks_exact(mx)) {
            let (to, rest) = to.split_at_mut(part.len());
            to.copy_from_slice(&row[part.clone()]);
            rest.fill(T::ZERO);
        }
        line.side_by_side(lines, back);
        for (from, row) in lines.x.chunks_exact(T::LANES).zip(x.chunks_exact_mut(mx)) {
            row[part.clone()].copy_from_slice(&from[..part.len()]);
        }
    }
}
