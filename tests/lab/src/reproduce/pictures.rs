//! Pictures of the experiments: convergence, spectra, and where the entries of A, A⁻¹ and M are.
use super::lab::{Candidate, Lab, Sample};
use super::spectrum;
use nalgebra::DMatrix;
use precondor::report::Figure;
use precondor::report::plot::{self, Curve, Points};
use precondor::report::spy;
use precondor_core::{Error, Result};

/// Convergence curves; those without iterations are left out.
pub fn convergence<'a>(
    curves: impl Iterator<Item = (&'a str, &'a [f64])>,
    axis: &str,
    caption: &str,
) -> Option<Figure> {
    let curves: Vec<Curve<'_>> = curves
        .filter(|(_, history)| history.len() > 1)
        .enumerate()
        .map(|(colour, (label, history))| Curve { label, colour, history })
        .collect();
    let svg = plot::convergence(&curves, axis)?;
    let caption = format!("{caption}; both axes are logarithmic.");
    Some(Figure { svg, caption, half: false })
}

/// The eigenvalues of A and of MA in order, for each method.
///
/// # Errors
/// What a method reports; [`Error::Unsupported`] for more unknowns than [`spectrum::PICTURE`].
pub fn spectra(lab: &Lab<'_>, sample: &Sample, methods: &[&Candidate]) -> Result<Option<Figure>> {
    let a = sample.task.system.a();
    let mut all = vec![("A".to_owned(), spectrum::moduli(a, None)?)];
    for method in methods {
        let ready = lab.set_up(&sample.task, method)?;
        all.push((method.label.clone(), spectrum::moduli(a, Some(ready.m()))?));
    }
    let n = a.n_own() as f64;
    let points = all.iter().enumerate().map(|(colour, (label, values))| Points {
        label,
        colour,
        points: values.iter().enumerate().map(|(k, &v)| ((k + 1) as f64 / n, v)).collect(),
    });
    let points: Vec<Points<'_>> = points.collect();
    let axes = ["place in the spectrum, as a share of n", "|eigenvalue|"];
    let caption = format!(
        "Eigenvalues of A and of MA in order, n = {n}: the flatter and the nearer to 1, the better. \
         Moduli where M is unsymmetric."
    );
    Ok(plot::spectra(&points, axes).map(|svg| Figure { svg, caption, half: false }))
}

/// How large the entries of a dense matrix are.
pub fn magnitudes(matrix: &DMatrix<f64>, what: &str) -> Figure {
    let stored = matrix.iter().filter(|v| **v != 0.0).count();
    let share = 100.0 * stored as f64 / matrix.len().max(1) as f64;
    let caption = format!("{what}: {stored} entries ({share:.1} %)");
    let svg = spy::magnitudes(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)], &caption);
    Figure { svg, caption, half: true }
}

/// The magnitudes of A, A⁻¹ and of each M.
///
/// # Errors
/// [`Error::Data`] for a singular A; what a method reports.
pub fn entries(lab: &Lab<'_>, sample: &Sample, methods: &[&Candidate]) -> Result<Vec<Figure>> {
    let a = spectrum::dense(sample.task.system.a());
    let inverse = a.clone().try_inverse();
    let inverse = inverse.ok_or_else(|| Error::Data("A is singular".into()))?;
    let mut figures = vec![magnitudes(&a, "A"), magnitudes(&inverse, "A⁻¹")];
    for method in methods {
        let ready = lab.set_up(&sample.task, method)?;
        let m = spectrum::dense_of(ready.m(), a.nrows())?;
        figures.push(magnitudes(&m, &format!("M of {}", method.label)));
    }
    Ok(figures)
}
