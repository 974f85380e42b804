//! Numbers as people read them.

/// Three significant digits: `0.982`, `12.3`, `5944`, `3.14e-6`.
pub fn number(x: f64) -> String {
    match x.abs() {
        _ if !x.is_finite() => x.to_string(),
        0.0 => "0".into(),
        a if !(1e-3..1e6).contains(&a) => format!("{x:.2e}"),
        a if a >= 100.0 => format!("{x:.0}"),
        a => format!("{x:.*}", (2 - a.log10().floor() as i32).clamp(0, 6) as usize),
    }
}

/// A mean of counts: decimals where it has some.
pub fn mean(x: f64) -> String {
    match x.fract() {
        0.0 => format!("{x:.0}"),
        _ if x < 10.0 => format!("{x:.2}"),
        _ => format!("{x:.1}"),
    }
}

/// Seconds with a unit: `31.2 ms`.
pub fn seconds(s: f64) -> String {
    let (scaled, unit) = match s {
        s if s >= 100.0 => return format!("{s:.0} s"),
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    format!("{} {unit}", number(scaled))
}

/// Bytes with a unit: `105 kB`.
pub fn bytes(b: f64) -> String {
    match b {
        b if b >= 1e9 => format!("{} GB", number(b / 1e9)),
        b if b >= 1e6 => format!("{} MB", number(b / 1e6)),
        b if b >= 1e3 => format!("{} kB", number(b / 1e3)),
        b => format!("{b:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_units_fit() {
        let shown = [0.0, 5944.2, 0.98231, 12.345, 3.14159e-6, 1.0, 99.96, f64::NAN].map(number);
        assert_eq!(shown, ["0", "5944", "0.982", "12.3", "3.14e-6", "1.00", "100.0", "NaN"]);
        assert_eq!([3.0, 4.25].map(mean), ["3", "4.25"]);
        assert_eq!(
            [3.21e-5, 0.0312, 2.0, 250.4].map(seconds),
            ["32.1 µs", "31.2 ms", "2.00 s", "250 s"]
        );
        assert_eq!([12.0, 7688.0, 2.5e6].map(bytes), ["12 B", "7.69 kB", "2.50 MB"]);
    }
}
