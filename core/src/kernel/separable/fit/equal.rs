//! Axes of equal spacings, seen through noise.
use crate::kernel::separable::Axis;

/// Planes of couplings that differ by less count as equal in any case.
pub(super) const EQUAL: f64 = 1e-11;
/// What holds the ends may be off by this part, at least, where planes are equal up to noise.
const END: f64 = 0.25;

/// The mean, where the values differ from it by no more than `slack` in the mean square; those beside the ends, which are
/// not like the others, do not decide.
fn mean_within(values: &[f64], slack: f64) -> Option<f64> {
    let skip = if values.len() < 12 { 0 } else { 2 };
    let values = &values[skip..values.len() - skip];
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|v| (v / mean - 1.0).powi(2)).sum::<f64>() / count;
    (!values.is_empty() && square.sqrt() <= slack).then_some(mean)
}

/// Makes an axis one of equal spacings where couplings and masses are equal within these parts.
pub(super) fn equalise(axis: &mut Axis, of_couplings: f64, of_masses: f64) {
    let m = axis.nodes();
    if axis.periodic {
        let means =
            (mean_within(&axis.stiffness[1..], of_couplings), mean_within(&axis.mass, of_masses));
        if let (Some(k), Some(w)) = means {
            axis.stiffness.fill(k);
            axis.mass.fill(w);
        }
        return;
    }
    if m < 4 {
        return;
    }
    let means = (
        mean_within(&axis.stiffness[1..m], of_couplings),
        mean_within(&axis.mass[1..m - 1], of_masses),
    );
    let (Some(k), Some(w)) = means else { return };
    // Ends are means over one plane alone.
    let slack =
        |error: f64| if error > 10.0 * EQUAL { error.clamp(END, 0.45) } else { 1e3 * EQUAL };
    let is = |value: f64, of: f64, slack: f64| (value - of).abs() <= slack * of;
    let end = |value: f64| match value {
        0.0 => Some(0.0),
        v => [k, 2.0 * k].into_iter().find(|&e| is(v, e, slack(of_couplings))),
    };
    let (Some(first), Some(last)) = (end(axis.stiffness[0]), end(axis.stiffness[m])) else {
        return;
    };
    // Only free ends have lighter nodes.
    let mass = |value: f64, end: f64| match end {
        0.0 => [w, 0.5 * w].into_iter().find(|&e| is(value, e, slack(of_masses))),
        _ => is(value, w, slack(of_masses)).then_some(w),
    };
    let masses = (mass(axis.mass[0], first), mass(axis.mass[m - 1], last));
    if let (Some(first_mass), Some(last_mass)) = masses {
        axis.stiffness[1..m].fill(k);
        axis.mass[1..m - 1].fill(w);
        (axis.stiffness[0], axis.stiffness[m]) = (first, last);
        (axis.mass[0], axis.mass[m - 1]) = (first_mass, last_mass);
    }
}
