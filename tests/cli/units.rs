//! Matrices in any unit, through the program: a factor changes no condition number, so it changes no count.
use crate::support::{Folder, program, run, solve};
use precondor_core::comm::Comm;
use precondor_core::matrix::Csr;
use precondor_core::matrix::io::matrix_market;
use precondor_core::problem::{Poisson, Problem};

/// Iterations of conjugate gradients to 1e-8, without a fallback.
fn iterations(folder: &Folder, a: &Csr, name: &str) -> u64 {
    matrix_market::write(&folder.path().join("A.mtx"), a, "a test").expect("written");
    let text = format!(
        "[problem]\nmatrix = 'A.mtx'\n[solver]\nmethod = 'cg'\ntolerance = 1e-8\n\
         max_iterations = 1000\n[preconditioner]\nname = '{name}'\n"
    );
    let ran = solve(folder, &text, &["--json"]);
    assert_eq!(ran.code, 0, "{name}: {}{}", ran.out, ran.err);
    let result = ran.json();
    assert_eq!(result["fallback"].as_array().map(Vec::len), Some(0), "{name}: {result}");
    result["iterations"].as_u64().expect("a number")
}

fn times(a: &Csr, c: f64) -> Csr {
    a.with_values(a.view().values.iter().map(|v| c * v).collect()).expect("as many")
}

#[test]
fn a_factor_changes_no_count() {
    let folder = Folder::new("units-factor");
    let poisson = Problem::Poisson(Poisson { seed: 7, ..Poisson::at_level(5) });
    let (system, _) = poisson.generate(Comm::solo()).expect("a problem");
    let a = system.a().own();
    for name in ["mlp-reference", "auto", "reference", "fast-poisson"] {
        let once = iterations(&folder, a, name);
        assert!(once <= if name == "fast-poisson" { 17 } else { 6 }, "{name}: {once}");
        for c in [1e3, 2.1e11, 8.9e-12] {
            assert_eq!(iterations(&folder, &times(a, c), name), once, "{name}, A times {c}");
        }
    }
}

/// The five-point Laplacian of m × m nodes over the square of the mesh width.
fn finite_differences(m: usize) -> Csr {
    let scale = ((m + 1) * (m + 1)) as f64;
    let mut entries = Vec::new();
    for row in 0..m * m {
        entries.push((row, row, 4.0 * scale));
        for (there, other) in [
            (row % m > 0, row.wrapping_sub(1)),
            (row % m + 1 < m, row + 1),
            (row >= m, row.wrapping_sub(m)),
            (row + m < m * m, row + m),
        ] {
            if there {
                entries.push((row, other, -scale));
            }
        }
    }
    Csr::from_triplets(m * m, m * m, entries).expect("in range")
}

#[test]
fn finite_differences_take_what_finite_elements_take() {
    let folder = Folder::new("units-differences");
    for m in [64, 257] {
        let count = iterations(&folder, &finite_differences(m), "mlp-reference");
        assert!(count <= 5, "{m}: {count}");
    }
}

#[test]
fn a_description_says_what_m_keeps() {
    let text = |name: &str| run(program().args(["plugins", "describe", name])).out;
    let all = "M keeps, as far as inner methods do: M(cA) = M(A)/c, M(DA) = M(A)D⁻¹, M(AD) = D⁻¹M(A), \
               M(DAD) = D⁻¹M(A)D⁻¹, M(PAPᵀ) = PM(A)Pᵀ\n";
    assert!(text("jacobi").contains(all), "{}", text("jacobi"));
    let both = "M keeps, as far as inner methods do: M(cA) = M(A)/c, M(DAD) = D⁻¹M(A)D⁻¹\n";
    assert!(text("fsai").contains(both), "{}", text("fsai"));
    assert!(text("mlp-reference").contains("as far as inner methods do: M(cA) = M(A)/c\n"));
}
