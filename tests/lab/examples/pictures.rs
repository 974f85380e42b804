//! Two pictures of docs/grids.md: what the network of `mlp-reference` has learned to do, and a bad node.
//!
//! ```text
//! cargo run --release -p precondor-lab --example pictures -- [FOLDER]
//! ```
//!
//! - `learned.svg`: a row of P takes a value on the unshifted grid to a node of A; its first moment Σⱼ pᵢⱼ (j − i) is where it takes it
//!   from. For every node of a mesh that no training saw, against how far the node is shifted.
//! - `bad-node.svg`: the worst node of a mesh whose nodes are shifted by up to .45 spacings, and its cells.
use kuva::plot::scatter::MarkerShape;
use kuva::prelude::{Layout, LinePlot, Plot, ScatterPlot, Theme, render_to_svg};
use precondor_plugin_mlp::reference::assemble;
use precondor_plugin_mlp::reference::pgp::Variant;
use precondor_plugin_mlp::reference::stencil::AROUND;
use precondor_plugin_mlp::reference::train::Weights;
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;
use std::path::Path;

/// Test systems: in no training.
const SEED: u64 = 61000;
const LEVEL: u32 = 5;
/// Nodes a side, and one over the spacing.
const NODES: usize = 31;
const INTERVALS: f64 = 32.0;
/// Beyond so many times what A0 has there, a diagonal entry makes a node bad (`bad_nodes` of `reference`).
const BAD: f64 = 1.4;

/// A mesh whose nodes are shifted by up to `shift` spacings, and where they are, in spacings.
fn mesh(shift: f64) -> Result<(System, Vec<[f64; 2]>)> {
    let problem = Poisson { shift, seed: SEED, ..Poisson::at_level(LEVEL) };
    let (system, _) = Problem::Poisson(problem).generate(Comm::solo())?;
    let places = system.coordinates().filter(|places| places.width == 2);
    let places = places.ok_or_else(|| Error::Data("the problem tells no coordinates".into()))?;
    let places = places.values.as_chunks::<2>().0.iter().map(|place| place.map(|x| x * INTERVALS));
    let places = places.collect();
    Ok((system, places))
}

fn scatter(points: Vec<(f64, f64)>, colour: &str, size: f64) -> Plot {
    let plot = ScatterPlot::new().with_data(points).with_color(colour).with_size(size);
    Plot::from(plot.with_marker(MarkerShape::Circle))
}

fn line(points: Vec<(f64, f64)>, colour: &str, width: f64) -> Plot {
    Plot::from(LinePlot::new().with_data(points).with_color(colour).with_stroke_width(width))
}

fn drawn(plots: Vec<Plot>, title: &str, axes: [&str; 2]) -> String {
    let layout = Layout::auto_from_plots(&plots)
        .with_width(480.0)
        .with_height(440.0)
        .with_title(title)
        .with_x_label(axes[0])
        .with_y_label(axes[1])
        .with_theme(Theme::light());
    render_to_svg(plots, layout)
}

/// What P does, against what it would do best.
fn learned() -> Result<String> {
    let (system, places) = mesh(0.25)?;
    let weights = Weights::shipped(Variant::Stencil)?;
    let bands = Bands::of(system.a(), Some([NODES, NODES]))?;
    let mut stencils = assemble(&Alone, &weights, &bands, None, 0..NODES)?;
    let (body, stride) = (bands.grid.body().start, bands.grid.stride());
    let planes = stencils.planes_mut();
    let (mut points, mut sums) = (Vec::new(), [0.0; 3]);
    for (k, place) in places.iter().enumerate() {
        let (i, j) = (k % NODES, k / NODES);
        let at = body + j * stride + i;
        let shift = [place[0] - (i + 1) as f64, place[1] - (j + 1) as f64];
        let mut moment = [0.0; 2];
        for ((x, y), plane) in AROUND.iter().zip(&planes) {
            moment[0] += f64::from(plane[at]) * *x as f64;
            moment[1] += f64::from(plane[at]) * *y as f64;
        }
        for (shift, moment) in shift.into_iter().zip(moment) {
            points.push((shift, moment));
            let terms = [shift * moment, shift * shift, moment * moment];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
    }
    let [both, shifts, moments] = sums;
    println!(
        "P takes values from {:.2} of the shift; correlation {:.3}",
        both / shifts,
        both / (shifts * moments).sqrt()
    );
    let plots = vec![
        line(vec![(-0.25, -0.25), (0.25, 0.25)], "black", 1.0),
        scatter(points, "#1f77b4", 2.0),
    ];
    let title = "What the network of mlp-reference has learned";
    Ok(drawn(plots, title, ["shift of the node, in spacings", "first moment of its row of P"]))
}

/// The worst node of a mesh and what is around it.
fn bad_node() -> Result<String> {
    let (system, places) = mesh(0.45)?;
    let own = system.a().own().view();
    let mut diagonal: Vec<f64> = (0..places.len()).map(|i| own.get(i, i)).collect();
    let inside = |k: usize| [k % NODES, k / NODES].iter().all(|i| (3..NODES - 3).contains(i));
    let worst = (0..places.len()).filter(|&k| inside(k));
    let worst = worst.max_by(|&a, &b| diagonal[a].total_cmp(&diagonal[b])).unwrap_or(0);
    let mut sorted = diagonal.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    diagonal.iter_mut().for_each(|d| *d /= median);
    let near = |k: usize| {
        let apart = |a: usize, b: usize| a.abs_diff(b) <= 3;
        apart(k % NODES, worst % NODES) && apart(k / NODES, worst / NODES)
    };
    let point = |k: usize| (places[k][0], places[k][1]);
    let mut plots = Vec::new();
    for k in (0..places.len()).filter(|&k| near(k)) {
        // Edges of the mesh, also those that the matrix has no entry for.
        for to in [k + 1, k + NODES, k + NODES + 1]
            .into_iter()
            .filter(|&to| to < places.len() && near(to))
        {
            plots.push(line(vec![point(k), point(to)], "#999999", 1.0));
        }
    }
    let (bad, good): (Vec<usize>, Vec<usize>) =
        (0..places.len()).filter(|&k| near(k)).partition(|&k| diagonal[k] > BAD);
    println!("the worst node has {:.1} times the median diagonal entry", diagonal[worst]);
    plots.push(scatter(good.into_iter().map(point).collect(), "black", 2.5));
    plots.push(scatter(bad.into_iter().map(point).collect(), "#d62728", 5.0));
    let title = format!("A bad node: diagonal entry {:.1} times the median", diagonal[worst]);
    Ok(drawn(plots, &title, ["x, in spacings", "y, in spacings"]))
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "docs/pictures".into());
    for (name, picture) in [("learned.svg", learned()?), ("bad-node.svg", bad_node()?)] {
        let path = Path::new(&folder).join(name);
        std::fs::write(&path, picture).map_err(|e| Error::file(&path, e))?;
        println!("written: {}", path.display());
    }
    Ok(())
}
