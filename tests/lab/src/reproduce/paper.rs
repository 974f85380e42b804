//! What the paper printed, as far as this project knows it. One list a table; a value that is not
//! here is shown as "–" and was never guessed.

/// Table 1, level by level: P1 Poisson, nodes shifted within a disc of a quarter mesh width,
/// iterations until ‖x − x*‖₂ < 10⁻⁵.
pub struct Level {
    pub level: u32,
    /// κ(A).
    pub condition: f64,
    /// Damped Jacobi, ω = 0.7.
    pub jacobi: f64,
    /// Gauss–Seidel.
    pub gauss_seidel: f64,
    /// The dense network.
    pub network: f64,
}

/// Table 1.
pub const TABLE_1: [Level; 4] = [
    Level { level: 2, condition: 5.9, jacobi: 49.0, gauss_seidel: 17.0, network: 8.0 },
    Level { level: 3, condition: 29.8, jacobi: 273.0, gauss_seidel: 95.0, network: 21.0 },
    Level { level: 4, condition: 127.3, jacobi: 1323.0, gauss_seidel: 463.0, network: 66.0 },
    Level { level: 5, condition: 516.0, jacobi: 5879.0, gauss_seidel: 2057.0, network: 39.0 },
];

/// Table 2: level, stored numbers of the dense, sparse and banded ("diag") forms of A.
pub const TABLE_2: [(u32, u64, u64, u64); 5] = [
    (3, 2_401, 289, 180),
    (4, 50_625, 1_457, 868),
    (5, 923_521, 6_481, 3_780),
    (6, 15_752_961, 27_281, 15_748),
    (7, 260_144_641, 111_889, 64_260),
];

/// Table 4, row "exact": the exact inverse for 225 unknowns without its entries up to ε: ε, share of
/// entries kept, iterations (a range where the last digits of the entries decide).
pub const TABLE_4_EXACT: [(f64, f64, &str); 6] = [
    (0.0, 1.0, "1"),
    (0.01, 0.699, "9"),
    (0.02, 0.527, "12"),
    (0.03, 0.417, "19"),
    (0.04, 0.339, "37"),
    (0.05, 0.281, "119–193"),
];

/// Figure 3, 225 unknowns: method, iterations of its first and of its second list. The paper prints
/// 10⁻³ for both; the rates say that the second one is for 10⁻¹⁰.
pub const FIGURE_3: [(&str, u64, u64); 4] = [
    ("Jacobi", 990, 2323),
    ("Gauss–Seidel", 346, 812),
    ("dense network, 50 neurons", 32, 106),
    ("dense network, 225 neurons", 23, 72),
];

/// The row of [`TABLE_1`] for a level.
pub fn table_1(level: u32) -> Option<&'static Level> {
    TABLE_1.iter().find(|row| row.level == level)
}
