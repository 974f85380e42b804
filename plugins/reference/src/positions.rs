//! How far the nodes of A are from those of the reference grid: out of their coordinates, or out of A alone.
//!
//! - **Given**: X = x̄ + G (i − ī) is fitted to the coordinates X of the nodes i of the grid by least squares, whatever units and
//!   directions they have; then δ = G⁻¹ (X − x̄) − (i − ī), in spacings.
//! - **Estimated**: discretisations that are exact for linear functions take i + δ to zero, so A δ = −g with gᵢ = Σⱼ aᵢⱼ (j − i),
//!   walls, which lie one spacing beyond the last nodes, included. The right-hand side is local, and so is most of δ: [`ESTIMATE`]
//!   steps of smoothing and an A0⁻¹ for each axis take at most one iteration more than given positions.
//!
//! Neither is believed. Beyond [`FARTHEST`] from its place a node is none of the grid (one that is only estimated to be there, between flat
//! cells, is held to it); and of some five hundred rows chosen by their
//! numbers, away from walls, A (i + δ) has to leave less than [`EXPLAINED`] of A i. Then P knows nothing of positions,
//! and a note says why.
//!
//! Spacings have to be equal along each axis, and there are three nodes at least. Nodes that are next to a free end, or to a wall that is
//! nearer than a spacing, are not moved across the grid: what is beyond them is none of its nodes.
//!
//! Cost: given, a few sums over the nodes, one gather; estimated, for each axis four products with A and an A0⁻¹; then the rows looked at.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::lattice::{Lattice, STEPS, Step};
use precondor_sdk::core::kernel::magnitude::near_one;
use precondor_sdk::core::kernel::separable::{Axis, Separable};
use precondor_sdk::prelude::*;
use std::ops::Range;

/// Where the positions of the nodes come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Source {
    /// The coordinates that come with the system, where some do.
    Auto,
    /// The coordinates that come with the system.
    Given,
    /// The matrix, by four steps of smoothing and an A0⁻¹ for each axis.
    Estimated,
    /// Nowhere: P does not know of them.
    #[default]
    None,
}

/// Steps of smoothing before A0⁻¹ that positions are estimated with, where Chebyshev's iteration smooths.
pub(crate) const ESTIMATE: u32 = 4;
/// Spacings that a node may be away from its place.
const FARTHEST: f64 = 0.75;
/// Where no node is further away, P is left out.
const NEAREST: f64 = 0.01;
/// Part of A i that A (i + δ) may leave.
const EXPLAINED: f64 = 0.5;
/// Rows, about, that this is seen from.
const SAMPLES: u64 = 1 << 9;

/// How far the own nodes are from those of the grid along each axis, in spacings.
pub(crate) struct Shifts {
    pub axes: Vec<Vec<f32>>,
}

/// Why nothing is made of positions.
pub(crate) type Useless = String;

/// The weight that a node moved by `shift` spacings gives to the node of the grid a step from its place.
#[inline]
pub(crate) fn weight(shift: [f64; 3], step: Step) -> f64 {
    let mut moved = (0..3).filter(|&axis| step[axis] != 0);
    let along = |axis: usize| f64::from(step[axis]) * shift[axis];
    match (moved.next(), moved.next(), moved.next()) {
        (None, ..) => 1.0 - shift.iter().map(|d| d * d).sum::<f64>(),
        (Some(a), None, _) => 0.5 * along(a) * (along(a) + 1.0),
        (Some(a), Some(b), None) => 0.25 * along(a) * along(b),
        _ => 0.0,
    }
}

/// Whether a wall is a spacing beyond the first, and the last, node.
fn walls(axis: &Axis) -> [bool; 2] {
    let (k, m) = (&axis.stiffness, axis.nodes());
    [k[0], k[m]].map(|end| !axis.periodic && equal(end, k[1]))
}

fn equal(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Why the grid is none of equal spacings, if so.
fn unequal(operator: &Separable) -> Option<Useless> {
    for (axis, name) in operator.axes.iter().zip(["x", "y", "z"]) {
        let (k, m) = (&axis.stiffness, axis.nodes());
        if m < 3 {
            return Some(format!("there are {m} nodes along {name}"));
        }
        if !(1..m).all(|i| equal(k[i], k[1])) {
            return Some(format!("spacings along {name} are not equal"));
        }
    }
    None
}

/// What the walls across each axis hold of the nodes beside them, before the first and behind the last; 0 where there is none.
pub(crate) struct Walls {
    dims: [usize; 3],
    hold: [[f64; 2]; 3],
}

impl Walls {
    pub fn of(operator: &Separable) -> Self {
        let mut hold = [[0.0; 2]; 3];
        for (hold, axis) in hold.iter_mut().zip(&operator.axes).filter(|(_, axis)| !axis.periodic) {
            let m = axis.nodes();
            *hold = [axis.stiffness[0] / axis.mass[0], axis.stiffness[m] / axis.mass[m - 1]];
        }
        Walls { dims: operator.lattice().dims, hold }
    }

    /// What is beside a node across an axis.
    fn beside(&self, place: [usize; 3], axis: usize) -> [f64; 2] {
        let [first, last] = self.hold[axis];
        let (at, m) = (place[axis], self.dims[axis]);
        [if at == 0 { first } else { 0.0 }, if at + 1 == m { last } else { 0.0 }]
    }

    /// Which way along an axis those beside a node lead, as a part of what all of its walls hold: in a corner there are several.
    pub fn way(&self, place: [usize; 3], axis: usize) -> f64 {
        let [before, behind] = self.beside(place, axis);
        if before == behind {
            return 0.0;
        }
        let all: f64 = (0..3).flat_map(|axis| self.beside(place, axis)).sum();
        (behind - before) / all
    }
}

/// −A i along each axis.
pub(crate) fn loads(a: &DistCsr, operator: &Separable) -> Result<Vec<Vec<f64>>> {
    let (lattice, walls) = (operator.lattice(), Walls::of(operator));
    let mut loads = vec![vec![0.0; a.n_own()]; lattice.dimension];
    lattice.runs(a, |run| {
        for (axis, load) in loads.iter_mut().enumerate() {
            let along = run.steps.iter().map(|&step| f64::from(STEPS[step][axis]));
            for (i, to) in load[run.row..][..run.count].iter_mut().enumerate() {
                let (values, [x, y, z]) = (run.of(i), run.place);
                *to = -along.clone().zip(values).map(|(step, v)| step * v).sum::<f64>();
                let way = walls.way([x + i, y, z], axis);
                if way != 0.0 {
                    *to += way * values.iter().sum::<f64>();
                }
            }
        }
        Ok(())
    })?;
    Ok(loads)
}

impl Shifts {
    /// Those that the system's coordinates tell, if it has any; none where nodes are where the grid has them. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a system without coordinates, where they are asked for; what the communicator reports.
    pub fn given(
        system: &System,
        operator: &Separable,
        asked: bool,
    ) -> Result<std::result::Result<Option<Self>, Useless>> {
        let (a, lattice) = (system.a(), operator.lattice());
        let comm = a.space().comm();
        let places = system.coordinates().filter(|c| c.width == lattice.dimension);
        if comm.any(places.is_none())? {
            let d = lattice.dimension;
            let why = format!("the system does not come with {d} coordinates a node");
            return match asked {
                true => Err(Error::Unsupported(format!("parameter 'positions': {why}"))),
                false => Ok(Err(why)),
            };
        }
        if let Some(why) = unequal(operator) {
            return Ok(Err(why));
        }
        let places = places.map_or(&[][..], |places| &places.values);
        let frame = Frame::fitted(a, lattice, places)?;
        let Some(frame) = frame else {
            return Ok(Err("the coordinates do not span the grid".into()));
        };
        let axes = (0..lattice.dimension).map(|k| frame.shifts(a, lattice, places, k)).collect();
        Shifts { axes }.checked(a, operator)
    }

    /// Those that A alone tells: `solve` for about A⁻¹ times each of the [`loads`]. Collective.
    ///
    /// # Errors
    /// What `solve` and the communicator report.
    pub fn estimated(
        a: &DistCsr,
        operator: &Separable,
        solve: impl FnOnce() -> Result<Vec<Vec<f32>>>,
    ) -> Result<std::result::Result<Option<Self>, Useless>> {
        let held = |axis: &Axis| axis.periodic || walls(axis) == [true; 2];
        let useless = match unequal(operator) {
            Some(why) => Some(why),
            None if operator.shift > 0.0 => Some("A is not zero for constants".into()),
            None if !operator.axes.iter().all(held) => {
                Some("the ends of an axis are not walls a spacing away".into())
            }
            None => None,
        };
        if let Some(why) = useless {
            return Ok(Err(why));
        }
        let mut axes = solve()?;
        for d in axes.iter_mut().flatten() {
            *d = d.clamp(-(FARTHEST as f32), FARTHEST as f32);
        }
        Shifts { axes }.checked(a, operator)
    }

    /// The same, where they may be those of A; none where they are too small to matter. Collective.
    fn checked(
        mut self,
        a: &DistCsr,
        operator: &Separable,
    ) -> Result<std::result::Result<Option<Self>, Useless>> {
        let lattice = operator.lattice();
        let held: Vec<[bool; 2]> = operator.axes.iter().map(walls).collect();
        let mut farthest = 0.0f64;
        for (nodes, place) in rows(a, lattice) {
            for (k, axis) in self.axes.iter_mut().enumerate() {
                let axis = &mut axis[nodes.clone()];
                let open = |at: usize| {
                    let ends = [at == 0, at + 1 == lattice.dims[k]];
                    !lattice.periodic[k] && (0..2).any(|end| ends[end] && !held[k][end])
                };
                if k > 0 && open(place[k]) {
                    axis.fill(0.0);
                } else if k == 0 {
                    let last = axis.len() - 1;
                    for i in [0, last].into_iter().filter(|i| open(place[0] + i)) {
                        axis[i] = 0.0;
                    }
                }
                let known = axis.iter().all(|d| d.is_finite());
                let most = axis.iter().fold(0.0f32, |most, d| most.max(d.abs()));
                farthest = farthest.max(if known { f64::from(most) } else { f64::INFINITY });
            }
        }
        let mut all = [farthest];
        a.space().comm().max(&mut all)?;
        let [farthest] = all;
        if farthest < NEAREST {
            return Ok(Ok(None));
        }
        if farthest > FARTHEST {
            return Ok(Err(format!(
                "a node is {farthest:.2} spacings away from its place in a grid of equal spacings"
            )));
        }
        Ok(match self.left(a, lattice)? {
            left if left < EXPLAINED => Ok(Some(self)),
            left => Err(format!(
                "they are not those of A, which leaves {left:.2} of what linear functions of the grid have"
            )),
        })
    }

    /// ‖A (i + δ)‖ / ‖A i‖ over some rows away from walls, each relative to the size of its entries. Collective.
    fn left(&self, a: &DistCsr, lattice: Lattice) -> Result<f64> {
        let (start, mut sums) = (a.space().start(), [[0.0; 2]; 2]);
        for (k, axis) in self.axes.iter().enumerate() {
            let there = match a.space().comm().size() {
                1 => vec![],
                _ => a.on_ghosts(&axis.iter().map(|d| f64::from(*d)).collect::<Vec<f64>>())?,
            };
            let at = |col: u64| match col.checked_sub(start).map(|j| j as usize) {
                Some(j) if j < axis.len() => f64::from(axis[j]),
                _ => a.ghost_ids().binary_search(&col).map_or(0.0, |j| there[j]),
            };
            for row in sampled(a) {
                let place = lattice.place(start + row as u64);
                let inside = |k: usize| {
                    lattice.periodic[k]
                        || (1..lattice.dims[k].saturating_sub(1)).contains(&place[k])
                };
                if !(0..lattice.dimension).all(inside) {
                    continue;
                }
                let (mut of_grid, mut rest, mut size) = (0.0, 0.0, 0.0);
                for (col, value) in a.global_entries(row) {
                    let step = lattice.step_to(place, col).map_or(0.0, |s| f64::from(STEPS[s][k]));
                    of_grid += value * step;
                    rest += value * (step + at(col) - f64::from(axis[row]));
                    size += value.abs();
                }
                add(&mut sums[0], (rest / size).powi(2));
                add(&mut sums[1], (of_grid / size).powi(2));
            }
        }
        let [rest, of_grid] = totals(a, sums)?;
        Ok(if of_grid > 0.0 { (rest / of_grid).sqrt() } else { f64::INFINITY })
    }
}

/// The own nodes in runs along x, and where each run begins.
fn rows(a: &DistCsr, lattice: Lattice) -> impl Iterator<Item = (Range<usize>, [usize; 3])> {
    let (n, start) = (a.n_own(), a.space().start());
    let mut next = 0;
    std::iter::from_fn(move || {
        let (first, place) = (next, lattice.place(start + next as u64));
        next = (first + lattice.dims[0] - place[0]).min(n);
        (first < n).then_some((first..next, place))
    })
}

/// Some of the own rows, chosen by their numbers: one out of every so many, anywhere among them.
fn sampled(a: &DistCsr) -> impl Iterator<Item = usize> {
    let (start, end) = (a.space().start(), a.space().start() + a.n_own() as u64);
    let every = a.n_global().div_ceil(SAMPLES).max(1);
    let anywhere = move |k: u64| k * every + (k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % every;
    let own = (start / every..=end / every).map(anywhere).filter(move |k| (start..end).contains(k));
    own.map(move |k| (k - start) as usize)
}

/// Adds to an unevaluated sum.
fn add([hi, lo]: &mut [f64; 2], value: f64) {
    let sum = *hi + value;
    let back = sum - *hi;
    *lo += (*hi - (sum - back)) + (value - back);
    *hi = sum;
}

/// Sums over all ranks, in their order. Collective.
fn totals<const K: usize>(a: &DistCsr, mine: [[f64; 2]; K]) -> Result<[f64; K]> {
    let comm = a.space().comm();
    let mut all = vec![0.0; 2 * K * comm.size()];
    comm.gather_f64(mine.as_flattened(), &mut all)?;
    let mut sums = [[0.0; 2]; K];
    for rank in all.chunks_exact(2 * K) {
        for (sum, part) in sums.iter_mut().zip(rank.chunks_exact(2)) {
            add(sum, part[0]);
            sum[1] += part[1];
        }
    }
    Ok(sums.map(|[hi, lo]| hi + lo))
}

/// The affine map of a grid's nodes that is nearest to their coordinates, turned around.
struct Frame {
    dimension: usize,
    /// Of the coordinates, and of the nodes.
    centre: [[f64; 3]; 2],
    inverse: [[f64; 3]; 3],
}

impl Frame {
    /// None where the coordinates do not span the space. Collective.
    fn fitted(a: &DistCsr, lattice: Lattice, places: &[f64]) -> Result<Option<Self>> {
        let d = lattice.dimension;
        let middle = lattice.dims.map(|m| 0.5 * (m as f64 - 1.0));
        // Of each coordinate itself, and times how far the node is from the middle along each axis.
        let mut sums = [[0.0; 2]; 12];
        for (own, place) in rows(a, lattice) {
            let mut off: [f64; 3] = std::array::from_fn(|k| place[k] as f64 - middle[k]);
            for at in places[d * own.start..d * own.end].chunks_exact(d) {
                for (x, sums) in at.iter().zip(sums.chunks_exact_mut(4)) {
                    add(&mut sums[0], *x);
                    off.iter().zip(&mut sums[1..]).take(d).for_each(|(off, sum)| add(sum, x * off));
                }
                off[0] += 1.0;
            }
        }
        let sums = totals(a, sums)?;
        let nodes = lattice.nodes() as f64;
        let square = |k: usize| nodes * ((lattice.dims[k] * lattice.dims[k]) as f64 - 1.0) / 12.0;
        let centre = std::array::from_fn(|c| sums[4 * c] / nodes);
        let entry = |c: usize, k: usize| sums[4 * c + 1 + k] / square(k);
        let sizes = (0..d).flat_map(|c| (0..d).map(move |k| entry(c, k).abs()));
        // Units play no part.
        let unit = near_one(sizes.fold(0.0, f64::max));
        let map = std::array::from_fn(|c| {
            std::array::from_fn(|k| match (c < d, k < d) {
                (true, true) => unit * entry(c, k),
                _ => f64::from(u8::from(c == k)),
            })
        });
        let inverse = inverse(map).map(|inverse| inverse.map(|row| row.map(|v| unit * v)));
        Ok(inverse.map(|inverse| Frame { dimension: d, centre: [centre, middle], inverse }))
    }

    /// How far the own nodes are from their places along an axis, in spacings.
    fn shifts(&self, a: &DistCsr, lattice: Lattice, places: &[f64], axis: usize) -> Vec<f32> {
        let Frame { dimension: d, centre: [centre, middle], inverse } = self;
        let mut shifts = Vec::with_capacity(a.n_own());
        for (own, place) in rows(a, lattice) {
            let first = place[axis] as f64 - middle[axis];
            let each = if axis == 0 { 1.0 } else { 0.0 };
            let nodes = places[d * own.start..d * own.end].chunks_exact(*d);
            shifts.extend(nodes.enumerate().map(|(i, place)| {
                let parts = place.iter().zip(centre).zip(inverse[axis]);
                let at: f64 = parts.map(|((x, centre), of)| of * (x - centre)).sum();
                (at - (first + each * i as f64)) as f32
            }));
        }
        shifts
    }
}

/// None for a matrix that hardly has one.
fn inverse(g: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let minor = |i: usize, j: usize| {
        let [a, b] = [(i + 1) % 3, (i + 2) % 3];
        let [c, d] = [(j + 1) % 3, (j + 2) % 3];
        g[a][c] * g[b][d] - g[a][d] * g[b][c]
    };
    let determinant: f64 = (0..3).map(|j| g[0][j] * minor(0, j)).sum();
    let length = |k: usize| (0..3).map(|c| g[c][k] * g[c][k]).sum::<f64>().sqrt();
    let sound = determinant.abs() > 1e-3 * length(0) * length(1) * length(2);
    sound.then(|| std::array::from_fn(|k| std::array::from_fn(|c| minor(c, k) / determinant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;
    use precondor_sdk::core::comm::Comm;
    use precondor_sdk::core::kernel::separable::fit::fit;
    use precondor_sdk::core::problem::{Poisson, Problem};
    use precondor_sdk::core::registry::Native;
    use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
    use precondor_sdk::serde_json::json;
    use std::ops::ControlFlow;

    #[test]
    fn weights_are_exact_for_quadratics() {
        let shift = [0.3, -0.2, 0.45];
        let functions: [fn([f64; 3]) -> f64; 5] = [
            |_| 1.0,
            |[x, y, z]| x - 2.0 * y + 3.0 * z,
            |[x, y, _]| x * y,
            |[x, _, z]| x * x - z * z,
            |[_, y, z]| (y + z) * (y + z),
        ];
        for f in functions {
            let sum: f64 = STEPS.iter().map(|s| weight(shift, *s) * f(s.map(f64::from))).sum();
            assert!((sum - f(shift)).abs() < 1e-14, "{sum}");
        }
    }

    /// What walls hold is shared out in corners: else each would send a unit of its own into the grid.
    #[test]
    fn estimated_positions_are_near_to_the_given_ones() {
        let problem = Problem::Poisson(Poisson { shift: 0.1, ..Poisson::at_level(6) });
        let (system, _) = problem.generate(Comm::solo()).expect("a system");
        let a = system.a();
        let lattice = Lattice::of(a, None).expect("a grid");
        let operator = fit(a, lattice, false).expect("a model").operator;
        let m = Native::<Reference>::method().generate(&json!({}), &system).expect("M");
        let exact = |load: &Vec<f64>| {
            let mut z = vec![0.0; load.len()];
            let criterion = Criterion::RelativeResidual;
            let stop = Stop { criterion, tolerance: 1e-10, max_iterations: 100, divergence: 1e6 };
            let mut watch = |_: &_| ControlFlow::Continue(());
            solve(&Algorithm::Cg, a, &*m, load, &mut z, &stop, &mut watch)?;
            Ok(z.into_iter().map(|d| d as f32).collect())
        };
        let exact = || loads(a, &operator)?.iter().map(exact).collect();
        let given = Shifts::given(&system, &operator, true).expect("told");
        let estimated = Shifts::estimated(a, &operator, exact).expect("told");
        let of = |shifts: std::result::Result<Option<Shifts>, String>| {
            shifts.expect("of A").expect("not zero").axes.concat()
        };
        let (given, estimated) = (of(given), of(estimated));
        let apart = given.iter().zip(&estimated).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let apart = (apart / given.iter().map(|a| a.powi(2)).sum::<f32>()).sqrt();
        assert!(apart < 0.2, "{apart}");
    }

    #[test]
    fn only_maps_with_three_directions_are_turned_around() {
        let turned = inverse([[0.0, 2.0, 0.0], [0.0, 0.0, 4.0], [0.5, 0.0, 0.0]]);
        assert_eq!(turned, Some([[0.0, 0.0, 2.0], [0.5, 0.0, 0.0], [0.0, 0.25, 0.0]]));
        assert_eq!(inverse([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), None);
        assert_eq!(inverse([[0.0; 3]; 3]), None);
    }
}
