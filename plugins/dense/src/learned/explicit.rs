//! A learned dense inverse of one matrix: setup from a model, Newton steps, what is applied.
//!
//! A model knows matrices as they were assembled for training. It sees A divided by its level against the
//! reference matrix of the grid (`kernel/level.rs` of the core), and what it gives is divided by that, too: so
//! M(cA) = M(A)/c whatever units A is in.

use std::sync::Arc;

use linfa_linalg::cholesky::CholeskyInplace;
use ndarray::Array2;
use precondor_sdk::core::kernel::dense_rows;
use precondor_sdk::core::persist::Stored;
use precondor_sdk::prelude::*;

use crate::learned::weights::Weights;
use precondor_neural::model::Recent;
use precondor_neural::net::{Operand, multiply};
use precondor_sdk::core::kernel::bands::{BANDS, Bands};
use precondor_sdk::core::kernel::grid::Grid;

/// Where a model comes from.
pub enum Model<'a> {
    /// A file of the user.
    File(&'a str),
    /// The shipped ones, each with the nodes a side of its grid.
    Shipped(Vec<(usize, &'static [u8])>),
}

/// Dense models read before.
static READ: Recent<Weights> = Recent::new();

fn read(bytes: &[u8], method: &'static str) -> Result<Arc<Weights>> {
    READ.read(bytes, method, |bytes| Weights::read(bytes, method))
}

impl Model<'_> {
    fn weights(&self, method: &'static str, grid: Grid, host: &dyn Host) -> Result<Arc<Weights>> {
        let Grid { mx, my } = grid;
        match self {
            Model::File(path) => {
                read(&host.read(path)?, method).map_err(|e| e.inside(format!("model '{path}'")))
            }
            Model::Shipped(models) => {
                let found = models.iter().find(|(m, _)| Grid { mx: *m, my: *m } == grid);
                let (_, bytes) = found.ok_or_else(|| {
                    let known: Vec<_> = models.iter().map(|(m, _)| format!("{m} by {m}")).collect();
                    Error::Unsupported(format!(
                        "no shipped model for a {mx} by {my} grid, only for {}; train one and give model = \
                         \"…\", or use mlp-reference, which fits any size",
                        known.join(" and ")
                    ))
                })?;
                read(bytes, method)
            }
        }
    }
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Nodes in a row and number of rows, where they are given.
    pub grid: Option<[usize; 2]>,
    /// Newton steps at the end.
    pub newton: usize,
    /// The mean alone.
    pub mean_only: bool,
}

/// Evaluates a model of `method` for the matrix of a system; every rank evaluates all of it and keeps its
/// rows. Collective.
///
/// # Errors
/// What reading the model and understanding the matrix report; [`Error::Unsupported`] for a model of
/// another grid.
pub fn generate(
    method: &'static str,
    model: &Model<'_>,
    settings: Settings,
    system: &System,
) -> Result<Stored> {
    let a = system.a();
    let (inverse, properties) = evaluate(method, model, settings, system)?;
    let m = dense_rows::matrix(a.space(), dense_rows::own(a, &inverse))?;
    Ok(Stored::inverse(m, properties, vec![]))
}

/// The same for another matrix of the grid, in the place of `m`. Collective.
///
/// # Errors
/// As [`generate`].
pub fn refresh(
    m: &mut Stored,
    method: &'static str,
    model: &Model<'_>,
    settings: Settings,
    system: &System,
) -> Result<()> {
    let (inverse, properties) = evaluate(method, model, settings, system)?;
    let renewed = dense_rows::renewed(m.matrix(), dense_rows::own(system.a(), &inverse))?;
    *m = Stored::inverse(renewed, properties, vec![]);
    Ok(())
}

/// All of M, on every rank. Collective.
fn evaluate(
    method: &'static str,
    model: &Model<'_>,
    settings: Settings,
    system: &System,
) -> Result<(Vec<f64>, Properties)> {
    let mut bands = Bands::of(system.a(), settings.grid)?;
    let weights = model.weights(method, bands.grid, system.host().as_ref())?;
    let (Grid { mx, my }, of) = (bands.grid, weights.architecture.grid());
    if bands.grid != of {
        return Err(Error::Unsupported(format!(
            "the model is for a {} by {} grid, the matrix has {mx} by {my} nodes",
            of.mx, of.my
        )));
    }
    let level = bands.level_of_whole()?;
    bands.divide(level);
    let host = system.host();
    let look = |done: usize| host.step(done, settings.newton + 2, "parts of a dense inverse");
    look(0)?;
    let mut inverse =
        if settings.mean_only { weights.mean_inverse() } else { weights.inverse(&bands) };
    let symmetric = weights.expansion.is_some();
    for done in 0..settings.newton {
        look(done + 1)?;
        inverse = refine(&bands, &inverse, symmetric);
    }
    look(settings.newton + 1)?;
    let positive_definite = symmetric && is_positive_definite(&inverse, of.nodes());
    inverse.iter_mut().for_each(|v| *v /= level);
    Ok((inverse, Properties { symmetric, positive_definite, ..Properties::GENERAL }))
}

/// One Newton step, `2M − M A M`.
fn refine(bands: &Bands, m: &[f64], symmetric: bool) -> Vec<f64> {
    let grid = bands.grid;
    let n = grid.nodes();
    let mut product = vec![0.0; n * n];
    let mut nodes = vec![0.0; n];
    let mut add = |row: usize, value: f64, of: usize| {
        let from = &m[of * n..(of + 1) * n];
        for (to, from) in product[row * n..(row + 1) * n].iter_mut().zip(from) {
            *to += value * from;
        }
    };
    for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
        grid.to_nodes(bands.plane(band), &mut nodes);
        let step = dx as usize + dy as usize * grid.mx;
        for k in (0..n.saturating_sub(step)).filter(|&k| nodes[k] != 0.0) {
            add(k, nodes[k], k + step);
            if step > 0 {
                add(k + step, nodes[k], k);
            }
        }
    }
    let mut refined = m.to_vec();
    let (left, right) = (Operand::new(m, n, n), Operand::new(&product, n, n));
    multiply(-1.0, left, right, 2.0, &mut refined);
    if symmetric {
        for i in 0..n {
            for j in 0..i {
                let mean = 0.5 * (refined[i * n + j] + refined[j * n + i]);
                refined[i * n + j] = mean;
                refined[j * n + i] = mean;
            }
        }
    }
    refined
}

fn is_positive_definite(m: &[f64], n: usize) -> bool {
    // The factorisation does not notice what is not a number.
    let matrix = Array2::from_shape_fn((n, n), |(i, j)| m[i * n + j]);
    m.iter().all(|v| v.is_finite()) && matrix.cholesky_into_dirty().is_ok()
}
