//! experiment
use crate::grid::{Bands, Grid};
use precondor_sdk::core::kernel::gather::Gather;
use precondor_sdk::prelude::*;

/// One pass of the mean over `2 radius + 1` numbers along lines, mirrored at the ends.
fn blur(line: &mut [f64], radius: usize, sums: &mut Vec<f64>) {
    let n = line.len() as isize;
    let r = radius as isize;
    sums.clear();
    sums.push(0.0);
    let mirrored = |k: isize| {
        let period = 2 * n;
        let k = k.rem_euclid(period);
        if k < n { k } else { period - 1 - k }
    };
    let mut total = 0.0;
    for k in -r..n + r {
        total += line[mirrored(k) as usize];
        sums.push(total);
    }
    let width = 2 * radius + 1;
    for (k, to) in line.iter_mut().enumerate() {
        *to = (sums[k + width] - sums[k]) / width as f64;
    }
}

/// Smooths a field of one number a node over `radius` mesh widths.
pub fn smooth(grid: Grid, field: &mut [f64], [rx, ry]: [usize; 2], passes: usize) {
    let Grid { mx, my } = grid;
    let mut sums = Vec::new();
    let mut column = vec![0.0; my];
    for _ in 0..passes {
        for row in field.chunks_exact_mut(mx) {
            blur(row, rx, &mut sums);
        }
        for i in 0..mx {
            for j in 0..my {
                column[j] = field[j * mx + i];
            }
            blur(&mut column, ry, &mut sums);
            for j in 0..my {
                field[j * mx + i] = column[j];
            }
        }
    }
}

fn env(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// c at all nodes, or nothing where it is constant.
pub fn of(system: &System, bands: &Bands) -> Result<Option<Vec<f64>>> {
    let grid = bands.grid;
    let estimate = env("EST", 0.0) > 0.0;
    let mut field = vec![0.0; grid.nodes()];
    match system.aux("coefficient") {
        _ if estimate => {
            grid.to_nodes(bands.plane(0), &mut field);
            field.iter_mut().for_each(|c| *c = (*c / 4.0).ln());
        }
        None => return Ok(None),
        Some(aux) => {
            let mut g = Gather::new(system.a().space());
            if system.a().space().comm().size() > 1 {
                g.whole(&aux.values, &mut field)?;
            } else {
                field.copy_from_slice(&aux.values);
            }
            field.iter_mut().for_each(|c| *c = c.ln());
        }
    }
    let delta = env("MOLL", 0.0);
    let r = |m: usize| (delta * (m + 1) as f64).round() as usize;
    if delta > 0.0 {
        smooth(grid, &mut field, [r(grid.mx), r(grid.my)], 2);
    }
    let theta = env("THETA", 1.0);
    Ok(Some(field.iter().map(|g| (theta * g).exp()).collect()))
}
