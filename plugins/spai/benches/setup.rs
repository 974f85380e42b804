//! Nanoseconds a row that the setup takes on perturbed Poisson, and where they go.
//!
//! `cargo bench -p precondor-plugin-spai [-- LEVEL…]`; best and median of 15 runs on one thread.
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::kernel::batch::{Fits, LANES};
use precondor_sdk::core::kernel::pattern::{Bound, MAX_ROW, Part, Pattern};
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;
use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<()> {
    let levels: Vec<u32> = std::env::args().skip(1).filter_map(|s| s.parse().ok()).collect();
    for level in if levels.is_empty() { vec![8, 9] } else { levels } {
        let (system, _) = Problem::Poisson(Poisson::at_level(level)).generate(Comm::solo())?;
        let (a, n) = (system.a(), system.a().n_own() as f64);
        println!("level {level}: {} rows, {} entries; ns a row", a.n_own(), a.nnz_own());
        let (r, mut z) = (vec![1.0; a.n_own()], vec![0.0; a.n_own()]);
        report("product with A", n, || a.spmv(&r, &mut z))?;
        report("pattern of A", n, || {
            Pattern::power(&Alone, a, 1, Part::Full, &Bound::new(a, MAX_ROW)?)
        })?;
        report("small solves alone, 19 × 7", n, || solves(a.n_own()))?;
        for power in [0, 1, 2] {
            let params = SpaiParams { power, ..SpaiParams::default() };
            let name = format!("spai, power {power}");
            let m = report(&name, n, || Spai::generate(&params, &system))?;
            println!("  {:30} {:8} rows by orthogonal factors", "", m.orthogonal_rows());
        }
        let mut m = Spai::generate(&SpaiParams::default(), &system)?;
        report("spai, power 1, refreshed", n, || {
            Spai::refresh(&mut m, &SpaiParams::default(), &system)
        })?;
        let params = SpaiParams { symmetrize: true, ..SpaiParams::default() };
        let m = report("spai, power 1, symmetrized", n, || Spai::generate(&params, &system))?;
        println!("  {:?}", m.notes());
        for power in [1, 2] {
            let params = FsaiParams { power, ..FsaiParams::default() };
            report(&format!("fsai, power {power}"), n, || Fsai::generate(&params, &system))?;
        }
    }
    Ok(())
}

/// Runs `f` fifteen times, prints the times, returns what it made last.
fn report<T>(name: &str, n: f64, mut f: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last = f()?;
    let mut times = [0.0; 15];
    for time in &mut times {
        let start = Instant::now();
        let made = black_box(f()?);
        *time = start.elapsed().as_nanos() as f64 / n;
        last = made;
    }
    times.sort_by(f64::total_cmp);
    println!("  {name:30} {:8.1} {:8.1}", times[0], times[7]);
    Ok(last)
}

/// As many local problems as there are rows, all with the same full matrix of 7 × 19 entries in
/// the places that the rows of a triangulated grid have.
fn solves(n: usize) -> Result<f64> {
    let offsets = [(0i32, 0i32), (-1, -1), (0, -1), (-1, 0), (1, 0), (0, 1), (1, 1)];
    let mut columns: Vec<(i32, i32)> = Vec::new();
    let mut fits = Fits::default();
    let mut sum = 0.0;
    for _ in 0..n.div_ceil(LANES) {
        fits.start(offsets.len());
        for (a, (x, y)) in offsets.iter().enumerate() {
            for (dx, dy) in offsets {
                let at = (x + dx, y + dy);
                let column = columns.iter().position(|&c| c == at).unwrap_or(columns.len());
                if column == columns.len() {
                    columns.push(at);
                }
                fits.widen(column + 1);
                let cell = fits.cell(a, column);
                let value = if (dx, dy) == (0, 0) { 4.0 } else { -0.6 };
                fits.cells()[cell].0 = [value; LANES];
            }
        }
        (0..LANES).for_each(|lane| fits.close(lane, offsets.len(), Some(0)));
        sum += fits.solve().0[0];
    }
    Ok(sum)
}
