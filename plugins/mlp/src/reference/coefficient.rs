//! A coefficient that varies: `C^-½ A0⁻¹ C^-½` in place of `A0⁻¹`.
//!
//! For smooth `c`, `−∇·(c ∇u) = √c (−Δ + q) √c u` with `q = Δ√c/√c`: scaled by the nodal coefficient from both
//! sides, the operator of the matrix is the reference one and a term of lower order, whatever the size.
//! Rows of `P`, which sum to one, interpolate `C^-½ A0⁻¹ …`, that is `u` itself. Scaling by the matrix's own
//! diagonal would do neither: it varies from node to node with the mesh, and `q` grows with that.
//!
//! - `c` is given with the system (auxiliary data `coefficient`), or taken from the diagonal, `a_ii/4`; either
//!   way `ln c` is smoothed over [`RADIUS`] of the domain, twice. That averages the mesh out of the
//!   diagonal, and bounds `q` where `c` jumps. Its level is left to that of the matrix (`mod.rs`): `c` is used
//!   with its smallest and its largest value each other's inverses.
//! - Without either being said, the diagonal counts as that of a coefficient that varies where the smoothed
//!   `ln a_ii` has a standard deviation of more than [`NOTICEABLE`], and of more than [`BEYOND_NOISE`] times what
//!   smoothing leaves of the mesh: with `σ²` a sixth of the mean square of second differences along rows and
//!   columns, `σ²` times the sum of the filter's squared weights. Neither depends on the units of the matrix, nor
//!   on how many nodes there are.
//! - **Works for** coefficients smooth on the scale of the domain. Across jumps of contrast `k` the condition
//!   grows with the number of grid points in the smoothed band up to about `k`; [`super::coarse`] helps.
//! - **Cost**: some 20 flops a node once, two products a node in an application, one more number a node.
//!   On several ranks each one smooths the rows of its slab and, between two transposes, its share of the columns:
//!   the same bits on any number of ranks. In setup, twice rows(r)·columns(q) words from each rank r to each
//!   other q and columns(r)·around(q, H) back; gathers of three words and, where it is not said whether there is
//!   one, of eight; where the coefficient is given, one of
//!   errors and |own(s) ∩ nodes(rows(r))| words from rank s to r ≠ s, which put cut rows together.
//! - **Reference**: P. Concus, G. Golub, *Use of fast direct methods for the efficient numerical solution of
//!   nonseparable elliptic equations*, SIAM J. Numer. Anal. 10 (1973), for the scaling by `√c`.

use std::ops::Range;

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::slab::{Redistribution, Transpose};
use precondor_sdk::core::matrix::Space;
use precondor_sdk::core::system::Aux;
use precondor_sdk::prelude::*;

use crate::reference::share::Share;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::grid::Grid;

/// How far `ln c` is smoothed in one pass, to both sides, in sides of the domain.
pub const RADIUS: f64 = 1.0 / 16.0;
/// Passes.
const PASSES: usize = 2;
/// A smoothed logarithm whose standard deviation is less is that of a constant: what it leaves to the
/// reference solve costs less than an iteration.
pub const NOTICEABLE: f64 = 0.04;
/// The same beside what is left of a mesh whose nodes are shifted. Without a coefficient this ratio is 1 to 3 for
/// shifts of a quarter of a mesh width, from 7 × 7 to 127 × 127 nodes.
pub const BEYOND_NOISE: f64 = 5.0;

/// A node at which smoothing changes the logarithm by less is one where the coefficient is steady: one that is
/// given, and one that is estimated from a diagonal, which varies with the mesh.
const STEADY: [f64; 2] = [0.1, 0.5];

/// A coefficient that smoothing changes by more than this factor jumps.
const JUMP: f64 = 1.5;

/// Where the coefficient at the nodes comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Source {
    /// The system's auxiliary data where it has them, else the diagonal where that varies noticeably.
    #[default]
    Auto,
    /// The auxiliary data `coefficient` of the system, one number a row.
    Given,
    /// The diagonal of the matrix, smoothed.
    Estimated,
    /// It is constant.
    None,
}

/// A coefficient that varies.
#[derive(Clone, Debug)]
pub struct Coefficient {
    /// Its smoothed value at every node of the rows that are kept, over the geometric mean of the smallest and
    /// the largest.
    pub values: Vec<f64>,
    /// The smallest and the largest of all, as they are.
    pub range: [f64; 2],
    /// Of every node of the slab, whether smoothing leaves it nearly as it is: there the matrix is that of the
    /// smoothed coefficient, up to its level.
    pub steady: Vec<bool>,
    /// Whether it is an estimate.
    pub estimated: bool,
    /// Whether it is given, and smoothing changes it by more than `JUMP` somewhere.
    pub jumps: bool,
}

impl Coefficient {
    /// The coefficient of a system, of which each rank has the bands in the rows that it keeps; nothing where
    /// it is constant. Collective.
    ///
    /// # Errors
    /// [`Error::Parameter`] where it should be given and is not; [`Error::Breakdown`] naming the first
    /// global row where it is not positive, on all ranks.
    pub fn of(
        system: &System,
        bands: &Bands,
        share: &Share,
        source: Source,
    ) -> Result<Option<Self>> {
        let comm = system.a().space().comm();
        let given = system.aux("coefficient").filter(|_| source != Source::Estimated);
        let mut field = match (source, given) {
            (Source::None, _) => return Ok(None),
            (Source::Given, None) => {
                let why = "parameter 'coefficient': \"given\", but the system comes without it \
                           (auxiliary data 'coefficient', one number a row)";
                return Err(Error::Parameter(why.into()));
            }
            (_, Some(aux)) => on_slab(comm, share, aux)?,
            (_, None) => {
                let mut field = vec![0.0; bands.grid.nodes()];
                bands.grid.to_nodes(bands.plane(0), &mut field);
                field.iter_mut().for_each(|d| *d /= 4.0);
                field
            }
        };
        field.iter_mut().for_each(|c| *c = c.ln());
        let estimated = given.is_none();
        let mine = share.slab().start * bands.grid.mx..share.slab().end * bands.grid.mx;
        let before = field[mine.clone()].to_vec();
        // The slab and the rows beside it, as far as there are any.
        let noise = (source == Source::Auto && estimated)
            .then(|| second_differences(&field, share.slab(), bands.grid));
        smooth(comm, share, &mut field)?;
        let field_of_slab = &field[mine];
        if let Some(differences) = noise
            && !varies(system.a().space(), share.slabs().grid(), field_of_slab, &differences)?
        {
            return Ok(None);
        }
        let change: Vec<f64> =
            field_of_slab.iter().zip(&before).map(|(a, b)| (a - b).abs()).collect();
        let changed = change.iter().copied().fold(0.0, f64::max);
        let steady = change.iter().map(|c| *c < STEADY[usize::from(estimated)]).collect();
        let least = field_of_slab.iter().copied().fold(f64::INFINITY, f64::min);
        let most = field_of_slab.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut ends = [changed, -least, most];
        comm.max(&mut ends)?;
        let [changed, least, most] = [ends[0], -ends[1], ends[2]];
        let middle = 0.5 * (least + most);
        field.iter_mut().for_each(|c| *c = (*c - middle).exp());
        Ok(Some(Coefficient {
            values: field,
            range: [least.exp(), most.exp()],
            steady,
            estimated,
            jumps: !estimated && changed > JUMP.ln(),
        }))
    }

    /// What to tell about it.
    pub fn note(&self) -> String {
        let [least, most] = self.range;
        let origin = match self.estimated {
            true => "estimated from the diagonal",
            false => "given with the system",
        };
        format!("scaled by a coefficient {origin}, {least:.3} to {most:.3} after smoothing")
    }
}

/// The auxiliary data, checked, for the rows that are kept: those of the slab, one elsewhere. Collective.
fn on_slab(comm: &Comm, share: &Share, aux: &Aux) -> Result<Vec<f64>> {
    if aux.width != 1 {
        let why = format!("auxiliary data 'coefficient': {} numbers a row, not one", aux.width);
        return Err(Error::Data(why));
    }
    let own = share.own();
    let checked = match aux.values.iter().position(|c| !(*c > 0.0 && c.is_finite())) {
        None => Ok(()),
        Some(k) => {
            let what = format!("the coefficient is {}; it must be positive", aux.values[k]);
            Err(Error::breakdown((own.start + k) as u64, what))
        }
    };
    comm.agree_first(checked)?;
    let slabs = share.slabs();
    let wants = |rank: usize| slabs.nodes(slabs.rows(rank));
    let mut moved = Redistribution::<f64>::new(comm, 1, |rank| slabs.own(rank), wants)?;
    let (rows, kept) = (slabs.nodes(share.kept(comm.rank())), moved.kept());
    let mut field = vec![1.0; rows.len()];
    let place = |nodes: &Range<usize>| nodes.start - rows.start..nodes.end - rows.start;
    let given = |nodes: &Range<usize>| &aux.values[nodes.start - own.start..nodes.end - own.start];
    if !kept.is_empty() {
        field[place(&kept)].copy_from_slice(given(&kept));
    }
    moved.give(|_, nodes, out| out.copy_from_slice(given(&nodes)));
    moved.fetch(|_, nodes, from| field[place(&nodes)].copy_from_slice(from))?;
    Ok(field)
}

/// Second differences of a field along rows and columns, about the nodes of some rows. Where rows beside
/// these are kept, they are looked at, too; rows at the ends of the grid have no differences across.
fn second_differences(field: &[f64], rows: Range<usize>, kept: Grid) -> Vec<f64> {
    let Grid { mx, my } = kept;
    let mut all = Vec::with_capacity(2 * rows.len() * mx);
    for j in rows {
        let row = &field[j * mx..(j + 1) * mx];
        all.extend(row.windows(3).map(|w| w[0] - 2.0 * w[1] + w[2]));
        if j > 0 && j + 1 < my {
            let [below, above] = [j - 1, j + 1].map(|j| &field[j * mx..(j + 1) * mx]);
            let triples = below.iter().zip(row).zip(above);
            all.extend(triples.map(|((below, here), above)| below - 2.0 * here + above));
        }
    }
    all
}

/// Whether the smoothed logarithms of a diagonal, of which each rank brings those of its slab, are those of a
/// coefficient that varies, rather than what is left of the mesh. Collective.
fn varies(space: &Space, grid: Grid, smoothed: &[f64], differences: &[f64]) -> Result<bool> {
    let ones = vec![1.0; smoothed.len().max(differences.len())];
    let [sum, square, noise, count] = space.dots([
        (smoothed, &ones[..smoothed.len()]),
        (smoothed, smoothed),
        (differences, differences),
        (&ones[..differences.len()], &ones[..differences.len()]),
    ])?;
    let nodes = grid.nodes() as f64;
    let variance = square / nodes - (sum / nodes).powi(2);
    let left = |m: usize| {
        let w = (2 * radius(m).min(m - 1) + 1) as f64;
        (2.0 * w * w + 1.0) / (3.0 * w * w * w)
    };
    let of_mesh = noise / (6.0 * count.max(1.0)) * left(grid.mx) * left(grid.my);
    Ok(variance > (NOTICEABLE * NOTICEABLE).max(BEYOND_NOISE * BEYOND_NOISE * of_mesh))
}

/// Nodes to each side that one pass takes the mean over, of `m` along one axis.
fn radius(m: usize) -> usize {
    (RADIUS * (m + 1) as f64).round() as usize
}

/// Takes the mean over [`RADIUS`] to both sides along rows and columns, [`PASSES`] times, of a field that is
/// right in the slab; then it is in all rows that are kept. Collective.
fn smooth(comm: &Comm, share: &Share, field: &mut [f64]) -> Result<()> {
    let Grid { mx, my } = share.slabs().grid();
    let (mut sums, mut column) = (Vec::new(), vec![0.0; my]);
    let mut columns_of = |field: &mut [f64], width: usize| {
        for i in 0..width {
            let places = field[i..].iter().step_by(width);
            column.iter_mut().zip(places).for_each(|(to, from)| *to = *from);
            mean(&mut column, radius(my), &mut sums);
            let places = field[i..].iter_mut().step_by(width);
            places.zip(&column).for_each(|(to, from)| *to = *from);
        }
    };
    let slab = share.slab().start * mx..share.slab().end * mx;
    let width = share.slabs().columns(comm.rank()).len();
    let mut turned = None;
    if !share.is_alone() {
        let transpose = Transpose::<f64>::new(share.slabs(), comm, share.halo(), width.max(1))?;
        turned = Some((transpose, vec![0.0; my * width]));
    }
    let mut row_sums = Vec::new();
    for _ in 0..PASSES {
        for row in field.chunks_exact_mut(mx) {
            mean(row, radius(mx), &mut row_sums);
        }
        match &mut turned {
            None => columns_of(field, mx),
            Some((transpose, columns)) => {
                transpose.to_columns(&field[slab.clone()], mx, columns)?;
                columns_of(columns, width);
                transpose.to_rows(columns, field, mx)?;
            }
        }
    }
    Ok(())
}

/// The mean over `2 radius + 1` numbers of a line, continued at its ends by turning it about them: what is
/// linear stays as it is.
fn mean(line: &mut [f64], radius: usize, sums: &mut Vec<f64>) {
    let last = line.len() as isize - 1;
    let radius = radius.min(line.len() - 1);
    let at = |k: isize| match k {
        k if k < 0 => 2.0 * line[0] - line[-k as usize],
        k if k > last => 2.0 * line[last as usize] - line[(2 * last - k) as usize],
        k => line[k as usize],
    };
    let mut total = 0.0;
    sums.clear();
    sums.push(0.0);
    for k in -(radius as isize)..=last + radius as isize {
        total += at(k);
        sums.push(total);
    }
    let width = 2 * radius + 1;
    for (k, to) in line.iter_mut().enumerate() {
        *to = (sums[k + width] - sums[k]) / width as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_sdk::core::problem::{self, Poisson, Problem};

    fn on_one_rank(system: &System, source: Source) -> Result<Option<Coefficient>> {
        let bands = Bands::of(system.a(), None).expect("a grid");
        let share = Share::alone(bands.grid).expect("nodes");
        Coefficient::of(system, &bands, &share, source)
    }

    #[test]
    fn smoothing_keeps_what_is_linear_and_averages_the_rest() {
        let grid = Grid { mx: 40, my: 31 };
        let linear = |k: usize| 3.0 + 0.25 * (k % 40) as f64 - 0.5 * (k / 40) as f64;
        let mut field: Vec<f64> = (0..grid.nodes()).map(linear).collect();
        let smooth = |grid: Grid, field: &mut [f64]| {
            let share = Share::alone(grid).expect("nodes");
            super::smooth(&Comm::solo(), &share, field).expect("one rank");
        };
        smooth(grid, &mut field);
        for (k, v) in field.iter().enumerate() {
            assert!((v - linear(k)).abs() < 1e-12);
        }
        // Radius 2 or 3 along 31 or 40: an alternating field all but vanishes inside.
        let mut field: Vec<f64> = (0..grid.nodes())
            .map(|k| if (k % 40 + k / 40) % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        smooth(grid, &mut field);
        let inside = |k: &usize| (6..34).contains(&(k % 40)) && (6..25).contains(&(k / 40));
        let largest = (0..grid.nodes()).filter(inside).map(|k| field[k].abs()).fold(0.0, f64::max);
        assert!(largest < 0.01, "{largest}");
        // A single node, and lines shorter than the radius.
        smooth(Grid { mx: 1, my: 1 }, &mut [2.0]);
        mean(&mut [1.0, 2.0], 5, &mut Vec::new());
    }

    #[test]
    fn the_estimate_is_close_to_what_is_given_and_noticed_only_where_it_varies() {
        let of = |coefficient, source| {
            let poisson = Poisson { coefficient, seed: 4, ..Poisson::at_level(6) };
            let (system, _) = Problem::Poisson(poisson).generate(Comm::solo()).expect("made");
            on_one_rank(&system, source)
        };
        let constant = problem::Coefficient::Constant;
        assert!(of(constant, Source::Auto).expect("fine").is_none());
        assert!(of(constant, Source::Estimated).expect("fine").is_some());
        let refused = of(constant, Source::Given).expect_err("nothing is given").to_string();
        assert!(refused.contains("parameter 'coefficient'"), "{refused}");
        for varying in [problem::Coefficient::Smooth, problem::Coefficient::LogNormal] {
            assert!(of(varying, Source::None).expect("fine").is_none());
            let given = of(varying, Source::Auto).expect("fine").expect("it varies");
            let estimate = of(varying, Source::Estimated).expect("fine").expect("it varies");
            assert_eq!((given.estimated, estimate.estimated), (false, true));
            assert!(!given.jumps && !estimate.jumps);
            assert!(given.note().contains("given") && estimate.note().contains("diagonal"));
            // Shifts raise the diagonal by a few per cent on average.
            for (g, e) in given.values.iter().zip(&estimate.values) {
                assert!((0.85..1.25).contains(&(e / g)), "{varying:?}: {e} for {g}");
            }
        }
    }

    #[test]
    fn a_chequerboard_jumps() {
        let poisson = Poisson { coefficient: problem::Coefficient::Jump, ..Poisson::at_level(5) };
        let (system, _) = Problem::Poisson(poisson).generate(Comm::solo()).expect("made");
        let coefficient = on_one_rank(&system, Source::Auto).expect("fine");
        assert!(coefficient.expect("it varies").jumps);
    }

    #[test]
    fn what_is_no_coefficient_is_refused_with_the_row() {
        let (system, _) =
            Problem::Poisson(Poisson::at_level(2)).generate(Comm::solo()).expect("made");
        let why = |width: usize, bad: f64| {
            let mut values = vec![1.0; 9 * width];
            values[7] = bad;
            let system = system.clone().with_aux("coefficient", width, values).expect("fits");
            on_one_rank(&system, Source::Auto).expect_err("faulty").to_string()
        };
        assert!(why(1, 0.0).contains("global row 7: the coefficient is 0"), "{}", why(1, 0.0));
        assert!(why(1, f64::NAN).contains("row 7"));
        assert!(why(2, 1.0).contains("2 numbers a row"));
    }
}
