//! Sizes of vectors, and the powers of two that bring them near one: what works in single precision is scaled by these first,
//! so that no residual is too small or too large for it.
use multiversion::multiversion;

/// The largest magnitude among `values`; not a number where one is none.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn largest(values: &[f64]) -> f64 {
    const SIGN: u64 = 1 << 63;
    // Magnitudes are ordered as the integers with the same bits.
    f64::from_bits(values.iter().fold(0, |most: u64, v| most.max(v.to_bits() & !SIGN)))
}

/// The power of two by which a magnitude comes near one; one where that is zero or not finite.
pub fn near_one(magnitude: f64) -> f64 {
    match (magnitude.to_bits() >> 52) & 0x7ff {
        0 if magnitude == 0.0 => 1.0,
        0x7ff => 1.0,
        exponent => 2f64.powi((1023 - exponent as i32).min(1022)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_near_one_and_what_is_no_number_is_seen() {
        for v in [1.0, 3.0, 1e-300, 1e300, f64::MAX, f64::MIN_POSITIVE] {
            assert!((1.0..2.0).contains(&(v * near_one(v))), "{v:e}");
        }
        assert_eq!([0.0, f64::INFINITY, f64::NAN].map(near_one), [1.0; 3]);
        assert_eq!(largest(&[-3.0, 2.0, -0.0]), 3.0);
        assert!(largest(&[1.0, -f64::NAN, 2.0]).is_nan());
        assert_eq!(largest(&[]), 0.0);
    }
}
