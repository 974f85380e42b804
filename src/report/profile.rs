//! Methods over many systems: shifted geometric means, and performance profiles.
//!
//! The profile of a method is the share ρ(τ) of systems that it solves with at most τ times what the best method takes
//! there: E. D. Dolan, J. J. Moré, *Benchmarking optimization software with performance profiles*, Mathematical
//! Programming 91 (2002). ρ(1) is the share where it is the best, and the right end the share that it solves at all.
use super::plot::{self, Points};
use super::{Cell, Column, Figure};

/// What is measured of a solve.
pub struct Measure {
    /// Stable name for JSON and CSV.
    pub key: &'static str,
    /// In words.
    pub name: &'static str,
    /// Of the shifted geometric mean: differences well below it do not count.
    pub shift: f64,
    /// What is smaller counts as this: nothing is a zero-th part of something.
    pub least: f64,
    /// How a value is shown.
    pub cell: fn(f64) -> Cell,
}

/// Seconds of setup and solve, iterations, and products with A.
pub const MEASURES: [Measure; 3] = [
    Measure { key: "time", name: "time", shift: 0.01, least: 1e-9, cell: Cell::Seconds },
    Measure { key: "iterations", name: "iterations", shift: 10.0, least: 1.0, cell: Cell::Number },
    Measure { key: "products", name: "products", shift: 10.0, least: 1.0, cell: Cell::Number },
];

/// A failure counts as so many times the dearest solve of its system.
pub const PENALTY: f64 = 10.0;

/// Values of a measure: `[method][system]`, none where it was not solved.
pub type Values = Vec<Vec<Option<f64>>>;

/// `exp(mean ln(v + shift)) − shift`, over the systems that some method solved; what one did not solve counts as
/// [`PENALTY`] times the dearest solve there. None for a method that solved nothing.
pub fn shifted_mean(values: &Values, method: usize, shift: f64) -> Option<f64> {
    let systems = values.first().map_or(0, Vec::len);
    let (mut sum, mut count) = (0.0, 0);
    for system in 0..systems {
        let solved = values.iter().filter_map(|of| of[system]);
        let Some(dearest) = solved.reduce(f64::max) else { continue };
        let value = values[method][system].unwrap_or(PENALTY * dearest);
        sum += (value + shift).ln();
        count += 1;
    }
    let known = values[method].iter().any(Option::is_some);
    (known && count > 0).then(|| (sum / f64::from(count)).exp() - shift)
}

/// Ratios to the best of each system that a method solved, from small to large.
pub fn ratios(values: &Values, method: usize) -> Vec<f64> {
    let best = |system: usize| values.iter().filter_map(|of| of[system]).reduce(f64::min);
    let of = |(system, value): (usize, &Option<f64>)| Some((*value)? / best(system)?);
    let mut ratios: Vec<f64> = values[method].iter().enumerate().filter_map(of).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// The share of systems within `tau` times the best.
pub fn share(ratios: &[f64], systems: usize, tau: f64) -> f64 {
    ratios.partition_point(|&ratio| ratio <= tau) as f64 / systems.max(1) as f64
}

/// The profile as the corners of its steps, from τ = 1 to `last`.
fn steps(ratios: &[f64], systems: usize, last: f64) -> Vec<(f64, f64)> {
    let mut points = vec![(1.0, share(ratios, systems, 1.0))];
    for (k, &ratio) in ratios.iter().enumerate().filter(|(_, ratio)| **ratio > 1.0) {
        if ratios.get(k + 1) == Some(&ratio) {
            continue;
        }
        points
            .extend([(ratio, points[points.len() - 1].1), (ratio, share(ratios, systems, ratio))]);
    }
    points.push((last, share(ratios, systems, last)));
    points
}

/// What a product is in tables.
pub const PRODUCT: &str = "A product is one with A; an application of M counts as nnz(M)/nnz(A) of one, a factor that is applied with its transpose \
     (IC, FSAI) twice.";

/// What a reader should know of the means of a table whose rows are each a `what`.
pub fn about_means(what: &str) -> String {
    format!(
        "Means are geometric, of value + shift (time 10 ms, iterations and products 10), over the systems that some {what} \
         solved; what a {what} did not solve counts as {PENALTY} times the dearest solve of that system. {PRODUCT}"
    )
}

/// Columns for failures of so many systems, for the mean of each measure and for the share of systems where a method takes the least.
pub fn columns(measures: &[&Measure], systems: usize) -> Vec<Column> {
    let failed = Column::new("failed", "not solved", &format!("of {systems}")).marked();
    let means = measures.iter().map(|measure| {
        let column = Column::new(measure.key, measure.name, "mean");
        // Whether times are told apart is said of every system.
        if measure.key == "time" { column } else { column.marked() }
    });
    let least = measures
        .iter()
        .map(|measure| Column::new(&format!("least_{}", measure.key), "ρ(1)", measure.name));
    [failed].into_iter().chain(means).chain(least).collect()
}

/// What stands in these [`columns`] for a method, `all` being the values of each measure.
pub fn cells(measures: &[&Measure], all: &[&Values], method: usize) -> Vec<Cell> {
    let failed = all[0][method].iter().filter(|value| value.is_none()).count();
    let means = measures.iter().zip(all).map(|(measure, values)| {
        Cell::of(shifted_mean(values, method, measure.shift), measure.cell)
    });
    let least = all.iter().map(|values| {
        let ratios = ratios(values, method);
        let some = (!ratios.is_empty()).then_some(&ratios);
        Cell::of(some.map(|ratios| share(ratios, values[method].len(), 1.0)), Cell::Share)
    });
    [Cell::Count(failed as u64)].into_iter().chain(means).chain(least).collect()
}

/// A method, and the corners (τ, ρ) of its profile.
pub type Curve = (usize, Vec<(f64, f64)>);

/// The profiles of all methods in a measure. Who was never measured in products has none: PETSc does not tell them.
pub fn curves(values: &Values, measure: &Measure) -> Vec<Curve> {
    let systems = values.first().map_or(0, Vec::len);
    let all: Vec<Vec<f64>> = (0..values.len()).map(|method| ratios(values, method)).collect();
    let last = all.iter().filter_map(|ratios| ratios.last()).copied().fold(1.0, f64::max) * 1.1;
    let known = all.iter().enumerate().filter(|(method, _)| {
        measure.key != "products" || values[*method].iter().any(Option::is_some)
    });
    known.map(|(method, ratios)| (method, steps(ratios, systems, last))).collect()
}

/// The profiles as a picture; none where there is nothing to draw.
pub fn figure(
    measure: &Measure,
    curves: &[Curve],
    label: impl Fn(usize) -> String,
) -> Option<Figure> {
    let labels: Vec<String> = curves.iter().map(|(k, _)| label(*k)).collect();
    let points = labels.iter().zip(curves);
    let points =
        points.map(|(label, (k, points))| Points { label, colour: *k, points: points.clone() });
    let axes = [format!("τ, times the least {}", measure.name), "share of systems".to_owned()];
    let svg = plot::shares(&points.collect::<Vec<_>>(), [&axes[0], &axes[1]])?;
    let caption = format!(
        "Performance profile of the {}: systems solved with at most τ times the least.",
        measure.name
    );
    Some(Figure { svg, caption, half: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two methods on three systems; the second fails on the last, nobody solves a fourth.
    fn two() -> Values {
        vec![vec![Some(2.0), Some(8.0), Some(3.0), None], vec![Some(4.0), Some(2.0), None, None]]
    }

    #[test]
    fn a_profile_is_the_share_within_a_ratio_of_the_best() {
        let values = two();
        assert_eq!(ratios(&values, 0), [1.0, 1.0, 4.0]);
        assert_eq!(ratios(&values, 1), [1.0, 2.0]);
        assert_eq!([1.0, 3.9, 4.0].map(|tau| share(&ratios(&values, 0), 4, tau)), [0.5, 0.5, 0.75]);
        let steps = steps(&ratios(&values, 0), 4, 5.0);
        assert_eq!(steps, [(1.0, 0.5), (4.0, 0.5), (4.0, 0.75), (5.0, 0.75)]);
    }

    #[test]
    fn a_mean_counts_what_failed_as_ten_times_the_dearest() {
        let values = two();
        let mean = shifted_mean(&values, 1, 1.0).expect("known");
        assert!((mean - ((5.0f64 * 3.0 * 31.0).cbrt() - 1.0)).abs() < 1e-12, "{mean}");
        let mean = shifted_mean(&values, 0, 0.0).expect("known");
        assert!((mean - 48.0f64.cbrt()).abs() < 1e-12, "{mean}");
        assert_eq!(shifted_mean(&vec![vec![None]], 0, 1.0), None);
    }
}
