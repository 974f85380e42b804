//! Training data of dense networks: matrices in, inverses out, on all cores that the host lends.
//!
//! - **Inputs**: the bands of `A` at full length, or all of `A`.
//! - **Targets**: the inverses as vectors of a [`Frame`], or their parts along a few principal components
//!   of them.
//! - **Memory**: for level 4 (225 unknowns, 25 425 different entries of an inverse) 10 000 whole inverses
//!   would be a gigabyte. With components only as many inverses are kept as the components are found from;
//!   of all others what remains are their parts. [`Shape::affordable`] counts beforehand and refuses a run
//!   of more than [`LARGEST_BYTES`]: level 5 with any useful number of components, for one.
//! - **Threads**: a system, its inverse and its parts are a function of the system's number alone, and sums
//!   go over blocks of a fixed size in order, so any number of threads gives the same bits.

use std::ops::Range;

use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::train::{Samples, name_of};
use precondor_sdk::prelude::*;

use crate::learned::components::principal;
use crate::learned::exact::inverse;
use crate::learned::frame::{Frame, triangle};
use precondor_neural::net::{Operand, multiply};
use precondor_neural::random::Random;
use precondor_sdk::core::kernel::bands::{BANDS, Bands};
use precondor_sdk::core::kernel::grid::Grid;

/// Most unknowns a dense inverse is learned for.
pub const LARGEST: usize = 1024;
/// Bytes that a training run may take.
pub const LARGEST_BYTES: usize = 4 << 30;
/// Bytes of inverses that components are found from.
const BASIS_BYTES: usize = 160 << 20;
/// Systems of a block of the loops over all of them.
const BLOCK: usize = 32;

/// What a network is told of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Inputs {
    /// The diagonal and the upper diagonals 1, `mx` and `mx + 1`, each at its full length.
    #[default]
    Bands,
    /// All `n²` entries, zeros included.
    Full,
}

impl Inputs {
    /// How many numbers that is.
    pub fn count(self, grid: Grid) -> usize {
        match self {
            Inputs::Bands => places(grid).count(),
            Inputs::Full => grid.nodes() * grid.nodes(),
        }
    }

    /// These numbers for a matrix.
    pub fn describe(self, bands: &Bands) -> Vec<f32> {
        let grid = bands.grid;
        let n = grid.nodes();
        let mut nodes = vec![vec![0.0; n]; BANDS.len()];
        for (band, nodes) in nodes.iter_mut().enumerate() {
            grid.to_nodes(bands.plane(band), nodes);
        }
        if self == Inputs::Bands {
            return places(grid).map(|(band, node)| nodes[band][node] as f32).collect();
        }
        let mut all = vec![0.0; n * n];
        for (band, node) in places(grid).filter(|&(band, node)| nodes[band][node] != 0.0) {
            let other = node + distance(grid, band);
            all[node * n + other] = nodes[band][node] as f32;
            all[other * n + node] = nodes[band][node] as f32;
        }
        all
    }
}

/// How far from the diagonal a band stands.
fn distance(grid: Grid, band: usize) -> usize {
    let (dx, dy) = BANDS[band];
    dx as usize + dy as usize * grid.mx
}

/// Band and node of every entry of the bands.
fn places(grid: Grid) -> impl Iterator<Item = (usize, usize)> {
    let length = move |band| grid.nodes().saturating_sub(distance(grid, band));
    (0..BANDS.len()).flat_map(move |band| (0..length(band)).map(move |node| (band, node)))
}

/// What is predicted of an inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Nothing: its mean is all that is kept.
    Mean,
    /// Its parts along so many principal components.
    Components(usize),
    /// All of its vector.
    Whole,
}

impl Targets {
    /// `components` of them; 0, or as many as a vector has entries, for whole vectors.
    pub fn new(components: usize, grid: Grid) -> Self {
        match components {
            0 => Targets::Whole,
            k if k >= triangle(grid.nodes()) => Targets::Whole,
            k => Targets::Components(k),
        }
    }

    /// Components; 0 where there are none.
    pub fn components(self) -> usize {
        if let Targets::Components(k) = self { k } else { 0 }
    }

    /// Numbers to predict for a system.
    pub fn count(self, grid: Grid) -> usize {
        if self == Targets::Whole { triangle(grid.nodes()) } else { self.components() }
    }
}

/// What the data of a run are made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The grid of all systems.
    pub grid: Grid,
    /// What a network is told.
    pub inputs: Inputs,
    /// Whether the inverses are whitened.
    pub whiten: bool,
    /// What is predicted.
    pub targets: Targets,
    /// Systems in all.
    pub systems: usize,
    /// Systems, the first ones, that anything is learned from.
    pub learned: usize,
    /// Seed of the systems.
    pub seed: u64,
}

impl Shape {
    /// Systems whose vectors are held at once.
    fn held(&self) -> usize {
        match self.targets {
            Targets::Mean => 0,
            Targets::Whole => self.systems,
            Targets::Components(k) => {
                let fit = BASIS_BYTES / (4 * triangle(self.grid.nodes()));
                self.learned.min(fit.max(2 * k))
            }
        }
    }

    /// Refuses a run that takes more than [`LARGEST_BYTES`] (the data, a regression on them, a network with
    /// so many parameters), or that asks for more components than there are matrices to find them from.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with what it would take; [`Error::Parameter`] for the components.
    pub fn affordable(&self, regression: bool, parameters: usize) -> Result<()> {
        let Grid { mx, my } = self.grid;
        let (components, learned) = (self.targets.components(), self.learned);
        if components > learned {
            return Err(Error::Parameter(format!(
                "'components': {components} cannot be found from {learned} matrices; give at most as many"
            )));
        }
        let (p, k) = (self.inputs.count(self.grid) as f64, self.targets.count(self.grid) as f64);
        let (whole, systems) = (triangle(self.grid.nodes()) as f64, self.systems as f64);
        let held = if self.targets == Targets::Whole { 0.0 } else { self.held() as f64 };
        let data =
            4.0 * (systems * (p + k) + whole * (held + 3.0 * self.targets.components() as f64));
        // Records, standardised records, targets; normal equations.
        let fit = if regression { 8.0 * (systems * (2.0 * p + k) + p * (p + k)) } else { 0.0 };
        // Parameters, best ones, gradient, two moments.
        let bytes = data + fit + 20.0 * parameters as f64;
        if bytes <= LARGEST_BYTES as f64 {
            return Ok(());
        }
        let gib = |bytes: f64| bytes / f64::from(1 << 30);
        Err(Error::Unsupported(format!(
            "training for a {mx} by {my} grid with these parameters takes {:.1} GiB of memory (at most {:.0}): \
             give a smaller 'pool', or fewer 'components' (0 are all)",
            gib(bytes),
            gib(LARGEST_BYTES as f64)
        )))
    }
}

/// Systems as numbers.
pub struct Data {
    /// What the targets stand for.
    pub expansion: Expansion,
    /// Inputs, system after system.
    pub inputs: Vec<f32>,
    /// Targets, system after system: parts along the components, or whole vectors. Not centred.
    pub targets: Vec<f32>,
}

/// How targets become a vector of a [`Frame`].
#[derive(Clone, Debug)]
pub struct Expansion {
    /// What vectors stand for.
    pub frame: Frame,
    /// Mean of the vectors.
    pub mean: Vec<f32>,
    /// The components, one after the other, where there are some.
    pub basis: Option<Vec<f32>>,
}

impl Expansion {
    /// The symmetric matrix whose vector differs from the mean by `parts` (of the components, or as they are).
    pub fn matrix(&self, parts: &[f32]) -> Vec<f64> {
        let mut vector = self.mean.clone();
        match &self.basis {
            None => vector.iter_mut().zip(parts).for_each(|(v, p)| *v += p),
            Some(basis) => {
                let (k, q) = (parts.len(), vector.len());
                let parts = Operand::new(parts, 1, k);
                multiply(1.0, parts, Operand::new(basis, k, q), 1.0, &mut vector);
            }
        }
        self.frame.decode(&vector)
    }

    /// Targets of the mean.
    pub fn centre(&self) -> Vec<f32> {
        let Some(basis) = &self.basis else { return self.mean.clone() };
        basis.chunks_exact(self.mean.len()).map(|b| dot(b, &self.mean)).collect()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let basis = self.basis.as_ref().map_or(0, Vec::len);
        4 * (self.mean.len() + basis) + self.frame.bytes()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

/// The grid of the training systems, by the first of them.
///
/// # Errors
/// [`Error::Unsupported`] for a system that is no grid, or a grid of more than [`LARGEST`] nodes.
pub fn grid_of(samples: &dyn Samples, seed: u64) -> Result<Grid> {
    let grid = bands(samples, seed, None, 0)?.grid;
    if grid.nodes() > LARGEST {
        return Err(Error::Unsupported(format!(
            "{} unknowns are too many for a dense inverse (at most {LARGEST}); mlp-reference fits any size",
            grid.nodes()
        )));
    }
    Ok(grid)
}

/// What errors call one of the systems, which the families take turns in.
fn called(samples: &dyn Samples, index: usize) -> String {
    let families = samples.families();
    name_of(samples, index % families, (index / families) as u64)
}

fn bands(samples: &dyn Samples, seed: u64, grid: Option<Grid>, index: usize) -> Result<Bands> {
    let families = samples.families();
    let (family, there) = (index % families, (index / families) as u64);
    let inside = |e: Error| e.inside(called(samples, index));
    let system = samples.sample(family, seed, there).map_err(inside)?;
    let known = grid.map(|Grid { mx, my }| [mx, my]);
    Bands::of(system.a(), known).map_err(inside)
}

/// Some systems: their inputs and their vectors.
struct Block {
    inputs: Vec<f32>,
    vectors: Vec<f32>,
}

impl Data {
    /// Makes the data of a run; their mean and components are those that are `known`, where some are.
    ///
    /// # Errors
    /// Naming the training system that is not on the grid or not positive definite.
    pub fn new(
        shape: &Shape,
        samples: &dyn Samples,
        host: &dyn Host,
        known: Option<&Expansion>,
    ) -> Result<Self> {
        let Shape { grid, learned, systems, .. } = *shape;
        let frame = Frame::new(grid, shape.whiten);
        let q = frame.length();
        let block = |range: Range<usize>| -> Result<Block> {
            let mut block = Block { inputs: Vec::new(), vectors: Vec::new() };
            for index in range {
                let bands = bands(samples, shape.seed, Some(grid), index)?;
                block.inputs.extend(shape.inputs.describe(&bands));
                let inverse = inverse(&bands).map_err(|e| e.inside(called(samples, index)))?;
                frame.encode(&inverse, &mut block.vectors);
            }
            Ok(block)
        };
        let held = shape.held();
        let (mut inputs, mut sum) = (Vec::new(), vec![0.0; q]);
        let mut vectors = Vec::with_capacity(held * q);
        for made in chunks::collect(host, held, BLOCK, block)? {
            inputs.extend(made.inputs);
            vectors.extend(made.vectors);
        }
        add(&vectors[..held.min(learned) * q], &mut sum);
        let Targets::Components(k) = shape.targets else {
            let rest = chunks::collect(host, systems - held, BLOCK, |range| {
                let mut sum = vec![0.0; q];
                add(&block(held + range.start..held + range.end)?.vectors, &mut sum);
                Ok(sum)
            })?;
            rest.iter().for_each(|part| add_sum(part, &mut sum));
            let mean = known.map_or_else(|| mean(&sum, learned), |known| known.mean.clone());
            let expansion = Expansion { frame, mean, basis: None };
            return Ok(Data { expansion, inputs, targets: vectors });
        };
        let rough = mean(&sum, held);
        subtract(&rough, &mut vectors);
        let basis = match known.and_then(|known| known.basis.clone()) {
            Some(known) => known,
            None => principal(&vectors, q, k, &mut Random::new(shape.seed, COMPONENTS))?,
        };
        let parts = |vectors: &[f32]| {
            let count = vectors.len() / q;
            let mut parts = vec![0.0; count * k];
            let vectors = Operand::new(vectors, count, q);
            multiply(1.0, vectors, Operand::new(&basis, k, q).transposed(), 0.0, &mut parts);
            parts
        };
        let mut targets = parts(&vectors);
        drop(vectors);
        let rest = chunks::collect(host, systems - held, BLOCK, |range| {
            let first = held + range.start;
            let Block { inputs, mut vectors } = block(first..held + range.end)?;
            let mut sum = vec![0.0; q];
            add(&vectors[..learned.saturating_sub(first).min(range.len()) * q], &mut sum);
            subtract(&rough, &mut vectors);
            Ok((inputs, parts(&vectors), sum))
        })?;
        for (more, parts, part) in rest {
            inputs.extend(more);
            targets.extend(parts);
            add_sum(&part, &mut sum);
        }
        // So far the parts are those of the differences from the rough mean.
        let rough = Expansion { frame, mean: rough, basis: Some(basis) };
        add_rows(&rough.centre(), &mut targets);
        let mean = known.map_or_else(|| mean(&sum, learned), |known| known.mean.clone());
        let expansion = Expansion { mean, ..rough };
        Ok(Data { expansion, inputs, targets })
    }
}

/// Stream of random numbers that the search for components starts from.
const COMPONENTS: u64 = u64::MAX;

/// Adds vectors to their sum.
fn add(vectors: &[f32], sum: &mut [f64]) {
    for vector in vectors.chunks_exact(sum.len()) {
        sum.iter_mut().zip(vector).for_each(|(s, &v)| *s += f64::from(v));
    }
}

/// Adds one sum to another.
fn add_sum(part: &[f64], sum: &mut [f64]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
}

/// Adds a row to every row.
fn add_rows(row: &[f32], to: &mut [f32]) {
    for to in to.chunks_exact_mut(row.len()) {
        to.iter_mut().zip(row).for_each(|(t, r)| *t += r);
    }
}

/// Subtracts a vector from every vector.
fn subtract(vector: &[f32], from: &mut [f32]) {
    for from in from.chunks_exact_mut(vector.len()) {
        from.iter_mut().zip(vector).for_each(|(f, v)| *f -= v);
    }
}

fn mean(sum: &[f64], count: usize) -> Vec<f32> {
    sum.iter().map(|s| (s / count as f64) as f32).collect()
}
