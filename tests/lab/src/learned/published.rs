//! What others print for the sets: iterations of conjugate gradients. A value that is not here was not found, and none was
//! guessed.
//!
//! All are means over 200 systems until ‖b − Ax‖₂ ≤ 1e-6 from a normal vector, as the notebooks of
//! github.com/vltrifonov/PreCorrector (commit 333cceb) show them; of the learned ones those with their loss of the paper,
//! `low_freq_loss`. Training took them 258 s (IC(0)) and 337 s (ICt) on 64² with a GPU.

/// A method's iterations.
pub struct Figure {
    pub label: &'static str,
    pub learned: bool,
    pub iterations: f64,
    /// The notebook.
    pub source: &'static str,
}

const fn figure(
    label: &'static str,
    learned: bool,
    iterations: f64,
    source: &'static str,
) -> Figure {
    Figure { label, learned, iterations, source }
}

const DATASETS: &str = "examples/benchmark_elliptic_datasets.ipynb";
const FINAL: &str = "examples/final_elliptic_grid_precor_gnn.ipynb";
const ABLATION: &str = "examples/elliptic_grid64_128_ablation_precor_gnn.ipynb";
const ICT5: &str = "examples/benchmark_elliptic_256.ipynb";
const MANUSCRIPT: &str = "examples/media_for_manuscript2.ipynb";

/// What they call these.
const IC: &str = "IC(0)";
const ICT_1: &str = "ICt(1)";
const ICT_5: &str = "ICt(5)";
const LEARNED_IC: &str = "PreCorrector[IC(0)]";
const LEARNED_ICT: &str = "PreCorrector[ICt(1)]";

const GRID_32: [Figure; 2] =
    [figure(IC, false, 50.5, DATASETS), figure(ICT_1, false, 30.4, DATASETS)];
const GRID_64: [Figure; 3] = [
    figure(ICT_5, false, 29.9, ICT5),
    figure(LEARNED_IC, true, 68.5, FINAL),
    figure(LEARNED_ICT, true, 43.9, FINAL),
];
const GRID_128: [Figure; 2] =
    [figure(ICT_5, false, 65.0, ICT5), figure(LEARNED_IC, true, 117.9, ABLATION)];
const GRID_256: [Figure; 3] = [
    figure(IC, false, 425.2, MANUSCRIPT),
    figure(ICT_1, false, 258.7, DATASETS),
    figure(ICT_5, false, 135.9, ICT5),
];

/// Those for diffusion on so many points a side, with this variance.
pub fn contrast(grid: usize, variance: f64) -> &'static [Figure] {
    match grid {
        32 if variance == 0.7 => &GRID_32,
        64 if variance == 1.1 => &GRID_64,
        128 if variance == 1.1 => &GRID_128,
        256 if variance == 1.1 => &GRID_256,
        _ => &[],
    }
}
