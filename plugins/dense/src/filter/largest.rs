//! The largest entries of a distributed matrix.
use precondor_sdk::prelude::*;

/// The largest number t with at least `count` entries |mᵢⱼ| ≥ t, 0 where there are not that many.
/// Collective.
///
/// Magnitudes are ordered like their bits, so this is found by bisection over 63 bits: one pass over
/// the entries and one sum over the ranks each, and the same on any number of ranks.
pub(crate) fn limit(m: &DistCsr, count: f64) -> Result<f64> {
    let (own, ghost) = (m.own().view().values, m.ghost().view().values);
    let (mut low, mut high) = (0u64, f64::INFINITY.to_bits());
    // At least `count` entries are as large as `low`, or it is 0; fewer as large as `high`.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let large = |v: &&f64| v.abs().to_bits() >= middle;
        let here = own.iter().chain(ghost).filter(large).count();
        let mut there = [here as f64];
        m.space().comm().sum(&mut there)?;
        if there[0] >= count {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(f64::from_bits(low))
}

/// The largest |mᵢⱼ|, 0 for none. Collective.
pub(crate) fn magnitude(m: &DistCsr) -> Result<f64> {
    let values = m.own().view().values.iter().chain(m.ghost().view().values);
    let mut largest = [values.fold(0.0, |m: f64, v| m.max(v.abs()))];
    m.space().comm().max(&mut largest)?;
    Ok(largest[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_and_ends_are_as_they_should() {
        let values = [3.0, -7.0, 1e-300, 3.0, 0.5];
        let diagonal = values.iter().enumerate().map(|(i, &v)| (i, i, v));
        let m = DistCsr::solo(Csr::from_triplets(5, 5, diagonal).expect("valid")).expect("square");
        for (count, expected) in
            [(1.0, 7.0), (2.0, 3.0), (3.0, 3.0), (4.0, 0.5), (5.0, 1e-300), (6.0, 0.0)]
        {
            assert_eq!(limit(&m, count), Ok(expected), "{count}");
        }
        assert_eq!(magnitude(&m), Ok(7.0));
    }
}
