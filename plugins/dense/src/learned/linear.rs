//! The linear part of a learned inverse: what a regression explains of the targets is taken out of them.

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, ArrayView2};
use precondor_sdk::prelude::*;

use crate::learned::data::Data;
use crate::ridge::regression::{Fitted, Ridge, Standard};
use precondor_neural::net::{Operand, multiply};

/// The linear part of a map, and how much it explains.
#[derive(Debug)]
pub struct Linear {
    /// How inputs are standardised.
    pub standard: Standard,
    /// The regression, where there is a penalty.
    pub fitted: Option<Fitted>,
    /// Mean over systems of the square of the targets' distance from their mean.
    pub spread: f64,
    /// The part of it that the regression leaves, on the systems it was fitted to.
    pub left: f64,
}

impl Linear {
    /// Fits the first `learned` of `systems` systems, unless what would come out is `known`. The inputs are then standardised,
    /// the targets what the mean and the regression leave of them.
    ///
    /// # Errors
    /// [`Error::Data`] where the regression has no solution.
    pub fn take_out(
        penalty: Option<f64>,
        known: Option<(Standard, Option<Fitted>)>,
        data: &mut Data,
        systems: usize,
        learned: usize,
    ) -> Result<Self> {
        let centre = data.expansion.centre();
        let (p, k) = (data.inputs.len() / systems, centre.len());
        for row in data.targets.chunks_exact_mut(k) {
            row.iter_mut().zip(&centre).for_each(|(t, c)| *t -= c);
        }
        let records = wide(&data.inputs[..learned * p], learned)?;
        let spread = mean_square(&data.targets[..learned * k], learned);
        let fitted = match (&known, penalty) {
            (Some((_, fitted)), _) => fitted.clone(),
            (None, None) => None,
            (None, Some(penalty)) => {
                let targets = wide(&data.targets[..learned * k], learned)?;
                let fitted = Ridge { penalty }.fit(&DatasetBase::new(records.view(), targets));
                Some(fitted.map_err(|e| Error::Data(format!("ridge regression: {e}")))?)
            }
        };
        let standard = match (known, &fitted) {
            (Some((standard, _)), _) => standard,
            (None, Some(fitted)) => fitted.standard.clone(),
            (None, None) => Standard::of(&records),
        };
        for row in data.inputs.chunks_exact_mut(p) {
            for ((x, centre), scale) in row.iter_mut().zip(&standard.centre).zip(&standard.scale) {
                *x = ((f64::from(*x) - centre) * scale) as f32;
            }
        }
        if let Some(fitted) = &fitted {
            let weights: Vec<f32> = fitted.weights.iter().map(|&w| w as f32).collect();
            let (s, w) = (Operand::new(&data.inputs, systems, p), Operand::new(&weights, p, k));
            multiply(-1.0, s, w, 1.0, &mut data.targets);
        }
        let rest = mean_square(&data.targets[..learned * k], learned);
        Ok(Linear { standard, fitted, spread, left: rest / spread.max(f64::MIN_POSITIVE) })
    }
}

fn wide(values: &[f32], rows: usize) -> Result<Array2<f64>> {
    let view = ArrayView2::from_shape((rows, values.len() / rows), values);
    view.map(|view| view.mapv(f64::from)).map_err(|e| Error::Data(e.to_string()))
}

/// Mean over systems of the sums of squares.
pub fn mean_square(values: &[f32], systems: usize) -> f64 {
    values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / systems as f64
}
