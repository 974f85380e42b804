//! Cell-centred finite volumes on the cells of a grid that is neither shifted nor bent.
//!
//! The flux through a face is its area times its coefficient times the difference of the values on both sides over their distance;
//! at a wall the value is 0, half a spacing away.
use super::mesh::Axis;
use super::{Made, Uniform};
use std::ops::Range;

/// The own rows of a grid of cells, `tau` the factor of K beside the mass.
pub(super) fn make(
    axes: &[Axis; 3],
    dimension: usize,
    rows: Range<u64>,
    coefficient: &Uniform,
    tau: Option<f64>,
) -> Made {
    let (mut made, mut entries) = (Made::new(), Vec::new());
    let [mx, my, _] = axes.each_ref().map(|axis| axis.unknowns);
    let strides = [1, mx as u64, (mx * my) as u64];
    let width = |d: usize, i: usize| axes[d].places[i + 1] - axes[d].places[i];
    for row in rows {
        let cell = [row as usize % mx, row as usize / mx % my, row as usize / (mx * my)];
        let widths: Vec<f64> = (0..dimension).map(|d| width(d, cell[d])).collect();
        let volume: f64 = widths.iter().product();
        let factor = tau.unwrap_or(1.0);
        let mut diagonal = if tau.is_some() { volume } else { 0.0 };
        let (mut mean, mut faces) = (0.0, 0.0);
        entries.clear();
        for d in 0..dimension {
            let (m, i) = (axes[d].unknowns, cell[d]);
            for up in [false, true] {
                let neighbour = match (up, axes[d].is_ring()) {
                    (false, _) if i > 0 => Some(i - 1),
                    (true, _) if i + 1 < m => Some(i + 1),
                    (false, true) => Some(m - 1),
                    (true, true) => Some(0),
                    _ => None,
                };
                let distance = match neighbour {
                    Some(other) => 0.5 * (widths[d] + width(d, other)),
                    None if axes[d].ends.walls()[usize::from(up)] => 0.5 * widths[d],
                    None => continue,
                };
                let mut face = cell;
                face[d] = if up { i + 1 } else { i };
                if axes[d].is_ring() {
                    face[d] %= m;
                }
                let c = coefficient.at(number(axes, face, d));
                let area: f64 = (0..dimension).filter(|&k| k != d).map(|k| widths[k]).product();
                let flux = factor * (c * area / distance);
                diagonal += flux;
                mean += c;
                faces += 1.0;
                if let Some(other) = neighbour {
                    let column = row + strides[d] * other as u64 - strides[d] * i as u64;
                    entries.push((column, -flux));
                }
            }
        }
        entries.push((row, diagonal));
        made.row(&mut entries);
        made.load.push(volume);
        made.coefficient.push(if faces > 0.0 { mean / faces } else { coefficient.range[0] });
        made.places.extend((0..dimension).map(|d| axes[d].places[cell[d]] + 0.5 * widths[d]));
    }
    made
}

/// A number of the face before a cell along axis `d`.
fn number(axes: &[Axis; 3], cell: [usize; 3], d: usize) -> u64 {
    let [x, y, _] = axes.each_ref().map(|axis| axis.places.len() as u64);
    let [i, j, k] = cell.map(|at| at as u64);
    ((k * y + j) * x + i) * 3 + d as u64
}
