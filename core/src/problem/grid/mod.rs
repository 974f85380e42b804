//! Diffusion on the structured grids of practice, in two and three dimensions: −∇·(c ∇u) = f, or a time step of
//! u_t − ∇·(c ∇u) = f.
//!
//! - **Scheme**: linear elements on triangles or Kuhn's tetrahedra (7, 15 points), bi- or trilinear ones on quadrilaterals or
//!   hexahedra (9, 27), or finite volumes with the unknowns in the middle of cells (5, 7).
//! - **Ends** of every axis: walls (u = 0), free (no flux), or closed to a ring. Where no end is a wall, A takes constants to
//!   zero; the system knows that.
//! - **Nodes**: equal or geometric spacings, each node shifted in a disc or ball whose radius is a part of the lesser spacing beside
//!   it, then moved on a smooth path in time, then mapped to a bent grid. Nodes on walls and free ends stay. Where a shift
//!   makes a cell lose 99 % of its area or volume, anywhere in it, its nodes are drawn again.
//! - **Time steps**: A = M + τ K, with the masses lumped.
//!
//! Unknowns are numbered along x, then y, then z. The matrix is symmetric bit for bit, and the same on any number of ranks.
//!
//! Cost: each cell around own rows worked out once; communication only for the halo of the matrix, and, where nodes might be drawn
//! again, a few gathers of their numbers. A singular system with a random right-hand side adds up all of it on each rank.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §II.5 and §II.8; R. Eymard, T. Gallouët, R. Herbin, *Finite
//! volume methods*, Handbook of Numerical Analysis VII (2000), §2.
mod elements;
mod mesh;
mod volumes;

use super::{Rhs, check};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{DistCsr, NullSpace, NullSpaces, Space};
use crate::system::{COEFFICIENT, GRID_INDEX, System};
use crate::{Error, Result};
use mesh::{Axis, Mesh};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a problem on a structured grid is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grid {
    /// Unknowns along x, which runs fastest, y and perhaps z.
    #[schemars(length(min = 2, max = 3), inner(range(min = 1, max = 100_000)))]
    pub nodes: Vec<usize>,
    /// How the equation is made a matrix.
    pub scheme: Scheme,
    /// What is at the ends, of all axes or of each.
    #[schemars(length(min = 1, max = 3))]
    pub ends: Vec<Ends>,
    /// The last spacing over the first, of all axes or of each; spacings grow by one factor from each to the next.
    #[schemars(length(min = 1, max = 3), inner(range(min = 1e-6, max = 1e6)))]
    pub spacing: Vec<f64>,
    /// Radius, in the lesser of the spacings beside it, of the disc or ball that each inner node is shifted in.
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub shift: f64,
    /// How the unit square or cube is bent.
    pub map: Map,
    /// How far the sine map moves nodes along each axis, in sides of the unit cube; at most a quarter over `waves`.
    #[schemars(range(min = 0.0, max = 0.25))]
    pub amplitude: f64,
    /// Half waves of the sine map along each axis.
    #[schemars(range(min = 1, max = 16))]
    pub waves: u32,
    /// c is uniform between these two numbers, in each cell or, for finite volumes, on each face between two; constant where they
    /// are the same.
    #[schemars(inner(range(min = 1e-12, max = 1e12)))]
    pub coefficient: [f64; 2],
    /// A = M + τ K with so many times h² for τ, h the mean spacing of the unit cube; left out: A = K.
    #[schemars(range(min = 0.0, max = 1e12))]
    pub tau: Option<f64>,
    /// How far nodes travel around their places as systems follow each other, in sides of the unit cube: all else is the same
    /// in all systems then.
    #[schemars(range(min = 0.0, max = 0.25))]
    pub motion: f64,
    /// Systems that a round of that motion takes.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub period: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side; a singular A takes a random one, whose mean is taken out.
    pub rhs: Rhs,
}

/// How an equation is made a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Linear elements on triangles or tetrahedra.
    P1,
    /// Bilinear or trilinear elements on quadrilaterals or hexahedra.
    Q1,
    /// Cell-centred finite volumes, on grids that are neither shifted nor bent.
    Fv,
}

/// What is at the ends of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// u = 0 at both.
    Dirichlet,
    /// No flux through both.
    Neumann,
    /// They are the same.
    Periodic,
    /// u = 0 at the first, no flux through the last.
    DirichletNeumann,
    /// No flux through the first, u = 0 at the last.
    NeumannDirichlet,
}

/// How the unit square or cube is bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Map {
    /// It is not.
    None,
    /// x is the distance from the inside of an annulus with radii 1 and 2, y the angle: a quarter, or, with periodic ends, all of it.
    Annulus,
    /// Each coordinate plus `amplitude` times the product of sin(`waves` · π ·) of all.
    Sine,
}

impl Default for Grid {
    fn default() -> Self {
        Grid {
            nodes: vec![15, 15],
            scheme: Scheme::P1,
            ends: vec![Ends::Dirichlet],
            spacing: vec![1.0],
            shift: 0.0,
            map: Map::None,
            amplitude: 0.1,
            waves: 1,
            coefficient: [1.0, 1.0],
            tau: None,
            motion: 0.0,
            period: 20,
            seed: 0,
            rhs: Rhs::Random,
        }
    }
}

/// Unknowns at most.
const MOST: usize = 100_000_000;

impl Ends {
    /// Whether the first and the last are walls.
    fn walls(self) -> [bool; 2] {
        match self {
            Ends::Dirichlet => [true, true],
            Ends::DirichletNeumann => [true, false],
            Ends::NeumannDirichlet => [false, true],
            Ends::Neumann | Ends::Periodic => [false, false],
        }
    }
}

impl Grid {
    /// Unknowns, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range, or that does not go with another one.
    pub fn m(&self) -> Result<usize> {
        let refuse = |key: &str, why: String| Err(Error::Parameter(format!("'{key}': {why}")));
        let dimension = self.nodes.len();
        if !(2..=3).contains(&dimension) {
            return refuse("nodes", format!("{dimension} numbers; two or three are needed"));
        }
        for (key, count) in [("ends", self.ends.len()), ("spacing", self.spacing.len())] {
            if count != 1 && count != dimension {
                let why =
                    format!("{count} of them; one for all axes, or one for each of {dimension}");
                return refuse(key, why);
            }
        }
        let least = |ends: Ends| match (ends, self.scheme) {
            (Ends::Periodic, _) => 3,
            (Ends::Neumann, Scheme::P1 | Scheme::Q1) => 2,
            _ => 1,
        };
        for (axis, &m) in self.nodes.iter().enumerate() {
            let least = least(self.ends(axis));
            if !(least..=100_000).contains(&m) {
                let why = format!(
                    "{m} is not within {least}..100000, as the ends of axis {} ask for",
                    axis + 1
                );
                return refuse("nodes", why);
            }
        }
        let unknowns = self.nodes.iter().product::<usize>();
        if unknowns == 1 && self.is_singular() {
            return refuse("nodes", "a single unknown without a wall has no equation".into());
        }
        if unknowns > MOST {
            return refuse("nodes", format!("{unknowns} unknowns; there may be {MOST}"));
        }
        for &ratio in &self.spacing {
            check("spacing", ratio, (1e-6..=1e6).contains(&ratio), "within 1e-6..1e6")?;
        }
        check("shift", self.shift, (0.0..0.5).contains(&self.shift), "at least 0, less than 0.5")?;
        check("motion", self.motion, (0.0..=0.25).contains(&self.motion), "within 0..0.25")?;
        if self.period == 0 {
            return refuse("period", "0 is not within 1..1000000".into());
        }
        if !(1..=16).contains(&self.waves) {
            return refuse("waves", format!("{} is not within 1..16", self.waves));
        }
        if self.map == Map::Sine {
            let waves = f64::from(self.waves);
            let fits = self.amplitude >= 0.0 && self.amplitude * waves <= 0.25;
            let range = format!(
                "within 0..0.25/'waves', beyond which the grid is folded ('waves': {waves})"
            );
            check("amplitude", self.amplitude, fits, &range)?;
        }
        let [low, high] = self.coefficient;
        if !(1e-12..=1e12).contains(&low) || !(low..=1e12).contains(&high) {
            return refuse(
                "coefficient",
                format!("[{low}, {high}] is not a range within 1e-12..1e12"),
            );
        }
        if let Some(tau) = self.tau {
            check("tau", tau, (0.0..=1e12).contains(&tau), "within 0..1e12")?;
        }
        if self.scheme == Scheme::Fv
            && (self.shift > 0.0 || self.motion > 0.0 || self.map != Map::None)
        {
            let why = "finite volumes are for grids that are neither shifted nor bent: leave 'shift', 'motion' and 'map' out, \
                       or take 'p1' or 'q1'";
            return refuse("scheme", why.into());
        }
        if self.is_singular() && self.rhs != Rhs::Random {
            let why = "no end is a wall and there is no 'tau', so that A takes constants to zero and has no solution for this: \
                       take 'random'";
            return refuse("rhs", why.into());
        }
        Ok(unknowns)
    }

    fn ends(&self, axis: usize) -> Ends {
        self.ends[if self.ends.len() == 1 { 0 } else { axis }]
    }

    /// Whether A takes constants to zero.
    fn is_singular(&self) -> bool {
        self.tau.is_none()
            && (0..self.nodes.len()).all(|axis| self.ends(axis).walls() == [false, false])
    }

    /// The matrix with auxiliary data `coordinates` and `grid-index` (as many numbers a row as there are axes) and, where it
    /// is not constant, `coefficient`, and the right-hand side, of system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Grid::m); [`Error::Parameter`] where cells stay flat however often nodes are drawn; what the communicator
    /// reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let n = self.m()?;
        let dimension = self.nodes.len();
        // Under a motion, what is random is drawn once.
        let drawn = if self.motion > 0.0 { 0 } else { index };
        let tags = |tag| self.nodes.iter().map(|&m| m as u64).chain([tag]).collect::<Vec<u64>>();
        let stream = |tag| Stream::new(purpose, self.seed, drawn, &tags(tag));
        let space = Space::even(comm.clone(), n as u64);
        let rows = space.start()..space.start() + space.n_own() as u64;
        let tau = self.tau.map(|tau| tau * self.square());
        comm.scope(|| {
            let axes = std::array::from_fn(|axis| match self.nodes.get(axis) {
                Some(&m) => Axis::new(m, self.ends(axis), self.ratio(axis), self.scheme),
                None => Axis::none(),
            });
            let coefficient = Uniform { range: self.coefficient, stream: stream(2) };
            let made = match self.scheme {
                Scheme::Fv => volumes::make(&axes, dimension, rows.clone(), &coefficient, tau),
                scheme => {
                    let mut mesh = Mesh {
                        grid: self,
                        axes,
                        time: self.time(index),
                        stream: stream(0),
                        again: Default::default(),
                    };
                    mesh.settle(comm, &rows)?;
                    elements::make(&mesh, scheme, rows.clone(), &coefficient, tau)
                }
            };
            let a = made.matrix(&space)?;
            let mut system = System::new(a).with_coordinates(dimension, made.places)?;
            if self.is_singular() {
                system =
                    system.with_null_spaces(NullSpaces::symmetric(NullSpace::constant(&space)?));
            }
            let rhs = match self.rhs {
                Rhs::Ones => vec![1.0; space.n_own()],
                Rhs::Load => made.load,
                Rhs::Random => {
                    let number = |row| stream(1).normal(row);
                    let mean = if self.is_singular() {
                        (0..n as u64).map(number).sum::<f64>() / n as f64
                    } else {
                        0.0
                    };
                    rows.clone().map(|row| number(row) - mean).collect()
                }
            };
            let node = |row: u64| {
                let mut left = row as usize;
                self.nodes.iter().map(move |m| {
                    let at = left % m;
                    left /= m;
                    at as f64
                })
            };
            system =
                system.with_aux(GRID_INDEX, dimension, rows.clone().flat_map(node).collect())?;
            match coefficient.is_constant() {
                true => Ok((system, rhs)),
                false => Ok((system.with_aux(COEFFICIENT, 1, made.coefficient)?, rhs)),
            }
        })
    }

    fn ratio(&self, axis: usize) -> f64 {
        self.spacing[if self.spacing.len() == 1 { 0 } else { axis }]
    }

    /// h², h the mean spacing of the unit cube.
    fn square(&self) -> f64 {
        let cells =
            |(axis, &m): (usize, &usize)| Axis::cells_of(m, self.ends(axis), self.scheme) as f64;
        let all: f64 = self.nodes.iter().enumerate().map(cells).product();
        all.powf(-2.0 / self.nodes.len() as f64)
    }

    /// Where in its round the motion is, from 0 to 1.
    fn time(&self, index: u64) -> f64 {
        (index % u64::from(self.period)) as f64 / f64::from(self.period)
    }
}

/// Independent numbers in a range.
struct Uniform {
    range: [f64; 2],
    stream: Stream,
}

impl Uniform {
    fn is_constant(&self) -> bool {
        self.range[0] == self.range[1]
    }

    fn at(&self, place: u64) -> f64 {
        let [low, high] = self.range;
        match self.is_constant() {
            true => low,
            false => low + (high - low) * 0.5 * (self.stream.signed(place, 0) + 1.0),
        }
    }
}

/// What a scheme makes of the own rows.
#[derive(Default)]
struct Made {
    row_ptr: Vec<u32>,
    cols: Vec<u64>,
    values: Vec<f64>,
    /// The load of f = 1.
    load: Vec<f64>,
    places: Vec<f64>,
    /// Mean coefficient around each unknown.
    coefficient: Vec<f64>,
}

impl Made {
    fn new() -> Self {
        Made { row_ptr: vec![0], ..Made::default() }
    }

    /// Ends a row, whose columns come in increasing order.
    fn row(&mut self, entries: &mut [(u64, f64)]) {
        entries.sort_unstable_by_key(|entry| entry.0);
        self.cols.extend(entries.iter().map(|entry| entry.0));
        self.values.extend(entries.iter().map(|entry| entry.1));
        self.row_ptr.push(self.cols.len() as u32);
    }

    fn matrix(&self, space: &Arc<Space>) -> Result<DistCsr> {
        DistCsr::from_rows(space, &self.row_ptr, &self.cols, &self.values)
    }
}
