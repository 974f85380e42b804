//! `fieldsplit` is the block formula that it says.
use crate::dense::{
    Dense, as_dense, definite, dense, distance, dominant, entries, inverse, multiply,
    positive_definite, sparse, system, transpose,
};
use crate::support::{made, made_with};
use precondor_sdk::conformance::json;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use proptest::prelude::*;

/// A on some rows and columns; not square where their numbers differ.
fn block(a: &Dense, rows: &[usize], cols: &[usize]) -> Vec<Vec<f64>> {
    rows.iter().map(|&i| cols.iter().map(|&j| a[i][j]).collect()).collect()
}

/// What a method makes of a matrix, dense.
fn method(section: &Value, a: &Dense) -> Dense {
    let m = made(section.clone(), system(&sparse(a))).unwrap();
    as_dense(&*m, a.len(), false)
}

/// `part`, as a block of a matrix of zeros.
fn embedded(n: usize, rows: &[usize], cols: &[usize], part: &[Vec<f64>]) -> Dense {
    let mut all = dense(n, |_, _| 0.0);
    for (i, row) in rows.iter().zip(part) {
        cols.iter().zip(row).for_each(|(&j, &v)| all[*i][j] = v);
    }
    all
}

fn sum(parts: &[Dense]) -> Dense {
    dense(parts[0].len(), |i, j| parts.iter().map(|part| part[i][j]).sum())
}

/// I + c X.
fn near_one(c: f64, x: &Dense) -> Dense {
    dense(x.len(), |i, j| f64::from(u8::from(i == j)) + c * x[i][j])
}

/// M of steps of the sweep, each with the whole residual.
fn sweep(a: &Dense, steps: &[&Dense]) -> Dense {
    let zero = dense(a.len(), |_, _| 0.0);
    steps
        .iter()
        .fold(zero, |m, step| sum(&[m.clone(), multiply(step, &near_one(-1.0, &multiply(a, &m)))]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn sweeps_over_fields_are_the_block_formulas(entries in entries(), nodes in 1usize..5) {
        let n = 3 * nodes;
        let a = dominant(n, &entries);
        let component = |i: usize| [0, 2, 1][i % 3];
        let rows = |f: usize| (0..n).filter(|&i| component(i) == f).collect::<Vec<_>>();
        let methods = [json!({"name": "ilu"}), json!({"name": "jacobi"}), json!({"name": "spai"})];
        let parts: Vec<Dense> = (0..3).map(|f| {
            let rows = rows(f);
            embedded(n, &rows, &rows, &method(&methods[f], &block(&a, &rows, &rows)))
        }).collect();
        let [p, q, r] = [&parts[0], &parts[1], &parts[2]];
        for (kind, expected) in [
            ("additive", sum(&parts)),
            ("multiplicative", sweep(&a, &[p, q, r])),
            ("symmetric-multiplicative", sweep(&a, &[p, q, r, q, p])),
        ] {
            let section = json!({
                "name": "fieldsplit", "kind": kind, "methods": methods,
                "stride": 3, "fields": [[0], [2], [1]]
            });
            let m = made(section, system(&sparse(&a))).unwrap();
            prop_assert!(distance(&as_dense(&*m, n, false), &expected) < 1e-12, "{kind}");
            let off = distance(&as_dense(&*m, n, true), &transpose(&expected));
            prop_assert!(off < 1e-12, "{kind}, transposed");
        }
    }

    #[test]
    fn schur_factorisations_are_their_formulas(entries in entries(), n in 4usize..14, saddle: bool) {
        // The first field in the middle, the second one around it.
        let first: Vec<usize> = (1..n - 1 - n / 3).collect();
        let second: Vec<usize> = (0..n).filter(|i| !first.contains(i)).collect();
        let is_first = |i| first.contains(&i);
        let mut a = dominant(n, &entries);
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            if saddle && !is_first(i) && !is_first(j) {
                a[i][j] = if i == j { -0.5 } else { 0.0 };
            }
            // Something that couples the two.
            if is_first(i) != is_first(j) && (i + j) % 3 == 0 {
                a[i][j] += 0.25;
            }
        }
        let field: String = (0..n).map(|i| format!("{}\n", u8::from(!is_first(i)))).collect();
        let methods = [json!({"name": "ilu"}), json!({"name": "jacobi"})];
        let [a00, a01] = [&first, &second].map(|cols| block(&a, &first, cols));
        let [a10, a11] = [&first, &second].map(|cols| block(&a, &second, cols));
        for approximation in ["diag", "lumped", "a11"] {
            let weight = |k: usize| match approximation {
                "diag" => a00[k][k],
                _ => a00[k].iter().map(|v| v.abs()).sum(),
            };
            let through = |i: usize, j: usize| -> f64 {
                (0..first.len()).map(|k| a10[i][k] / weight(k) * a01[k][j]).sum()
            };
            let s = dense(second.len(), |i, j| match approximation {
                "a11" => a11[i][j],
                _ => a11[i][j] - through(i, j),
            });
            let negative = (0..s.len()).filter(|&i| s[i][i] < 0.0).count() * 2 > s.len();
            let sign = if negative { -1.0 } else { 1.0 };
            let h = embedded(n, &first, &first, &method(&methods[0], &a00));
            let p = method(&methods[1], &dense(s.len(), |i, j| sign * s[i][j]));
            let positive = embedded(n, &second, &second, &p);
            let p = dense(n, |i, j| sign * positive[i][j]);
            let up = embedded(n, &first, &second, &a01);
            let down = embedded(n, &second, &first, &a10);
            let both = sum(&[h.clone(), p.clone()]);
            let left = near_one(-1.0, &multiply(&h, &up));
            let right = near_one(-1.0, &multiply(&down, &h));
            let less = |x: Dense| dense(n, |i, j| both[i][j] - x[i][j]);
            let lower = less(multiply(&multiply(&p, &down), &h));
            let upper = less(multiply(&multiply(&h, &up), &p));
            for (factorisation, expected) in [
                ("full", multiply(&multiply(&left, &both), &right)),
                ("lower", lower),
                ("upper", upper),
                ("diag", sum(&[h.clone(), positive.clone()])),
            ] {
                let section = json!({
                    "name": "fieldsplit", "kind": "schur", "methods": methods, "file": "fields.txt",
                    "factorisation": factorisation, "approximation": approximation
                });
                let files = [("fields.txt", field.as_str())];
                let m = made_with(section, system(&sparse(&a)), &files).unwrap();
                let off = distance(&as_dense(&*m, n, false), &expected);
                prop_assert!(off < 1e-11, "{factorisation}, {approximation}: {off:e}");
                let off = distance(&as_dense(&*m, n, true), &transpose(&expected));
                prop_assert!(off < 1e-11, "{factorisation}, {approximation}, transposed: {off:e}");
            }
        }
    }

    #[test]
    fn a_declared_definite_split_is_definite(entries in entries(), n in 4usize..14) {
        let a = definite(n, &entries);
        for (kind, more) in [
            ("additive", json!({})),
            ("symmetric-multiplicative", json!({})),
            ("schur", json!({"factorisation": "full"})),
            ("schur", json!({"factorisation": "diag", "approximation": "a11"})),
        ] {
            let mut section = json!({
                "name": "fieldsplit", "kind": kind, "methods": ["jacobi"],
                "ranges": [[0, n / 2], [n / 2, n]]
            });
            more.as_object().unwrap().iter().for_each(|(k, v)| section[k] = v.clone());
            let m = made(section, system(&sparse(&a))).unwrap();
            prop_assert!(m.properties().symmetric);
            let full = as_dense(&*m, n, false);
            prop_assert!(distance(&full, &transpose(&full)) < 1e-12);
            if m.properties().positive_definite {
                prop_assert!(positive_definite(&full), "{kind}");
            } else {
                let sweeps = kind == "symmetric-multiplicative";
                let notes = m.notes().join("\n");
                prop_assert!(!sweeps || notes.contains("not known to be positive definite"));
            }
        }
    }
}

#[test]
fn fields_by_stride_by_ranges_and_by_a_file_are_the_same() {
    let a = sparse(&dominant(12, &[0.9, -0.85, 0.1, 0.95, -0.2, 0.3, 0.81]));
    let of = |more: Value, files: &[(&str, &str)]| {
        let mut section = json!({"name": "fieldsplit", "methods": ["jacobi", "ilu"]});
        more.as_object().unwrap().iter().for_each(|(k, v)| section[k] = v.clone());
        as_dense(&*made_with(section, system(&a), files).unwrap(), 12, false)
    };
    let halves = "# a comment\n0\n0\n0\n0\n0\n\n 0 \n1\n1\n1\n1\n1\n1\n";
    let by_file = of(json!({"file": "halves"}), &[("halves", halves)]);
    assert_eq!(by_file, of(json!({"ranges": [[0, 6], [6, 12]]}), &[]));
    assert_ne!(by_file, of(json!({"ranges": [[6, 12], [0, 6]]}), &[]), "another order");
    let odd: String = (0..12).map(|i| format!("{}\r\n", i % 2)).collect();
    let by_file = of(json!({"file": "odd"}), &[("odd", &odd)]);
    assert_eq!(by_file, of(json!({"stride": 2}), &[]));
    assert_eq!(by_file, of(json!({"stride": 4, "fields": [[0, 2], [3, 1]]}), &[]));
}

#[test]
fn exact_methods_make_an_exact_factorisation() {
    // Tridiagonal blocks, which ILU(0) factorises exactly, coupled by a diagonal matrix.
    let n = 12;
    let entry = |i: usize, j: usize| match (i < 6, j < 6) {
        (true, true) | (false, false) if i.abs_diff(j) <= 1 => [2.5, -1.0][i.abs_diff(j)],
        (true, false) | (false, true) if i % 6 == j % 6 => 0.5,
        _ => 0.0,
    };
    let a = dense(n, entry);
    let with = |factorisation: &str, exact: &str| {
        let section = json!({
            "name": "fieldsplit", "kind": "schur", "ranges": [[0, 6], [6, 12]], "methods": ["ilu"],
            "factorisation": factorisation, "matrix": "S.mtx"
        });
        let m = made_with(section, system(&sparse(&a)), &[("S.mtx", exact)]).unwrap();
        multiply(&as_dense(&*m, n, false), &a)
    };
    // S = T − T⁻¹/4 is full; so is its factor.
    let t = dense(6, |i, j| a[i][j]);
    let t_inverse = inverse(&t);
    let s = dense(6, |i, j| t[i][j] - 0.25 * t_inverse[i][j]);
    let file = |sign: f64| {
        let pairs = (0..6).flat_map(|i| (0..6).map(move |j| (i, j)));
        let lines = pairs.map(|(i, j)| format!("{} {} {:e}\n", i + 1, j + 1, sign * s[i][j]));
        let head = "%%MatrixMarket matrix coordinate real general\n6 6 36\n";
        head.to_owned() + &lines.collect::<String>()
    };
    let one = near_one(0.0, &a);
    assert!(distance(&with("full", &file(1.0)), &one) < 1e-12);
    // The sign of what is in the file plays no part.
    assert!(distance(&with("full", &file(-1.0)), &one) < 1e-12);
    // (MA − I)² = 0 for the triangular ones.
    for factorisation in ["lower", "upper"] {
        let rest = sum(&[with(factorisation, &file(1.0)), dense(n, |i, j| -one[i][j])]);
        let square =
            multiply(&rest, &rest).into_iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(square < 1e-12, "{factorisation}");
    }
}

#[test]
fn a_factor_of_the_matrix_divides_the_split() {
    let (a, _) = crate::systems::stokes(4, crate::systems::Order::Mixed);
    let n = a.n_rows();
    for factorisation in ["full", "lower", "upper", "diag"] {
        let with = |c: f64| {
            let scaled = a.view().values.iter().map(|v| c * v).collect();
            let section = json!({
                "name": "fieldsplit", "methods": ["ic", "fsai"], "factorisation": factorisation
            });
            let m = made(section, system(&a.with_values(scaled).unwrap())).unwrap();
            let m = as_dense(&*m, n, false);
            dense(n, |i, j| c * m[i][j])
        };
        for c in [2.0, 1e3, 2.1e11, 8.9e-12] {
            assert!(distance(&with(c), &with(1.0)) < 1e-10, "{factorisation}, factor {c:e}");
        }
    }
}

#[test]
fn what_is_known_of_the_nodes_comes_along_with_a_field() {
    use precondor_sdk::core::system::System;
    // `fast-poisson` is not here; a method that looks at auxiliary data is stood for by the data themselves.
    let a = sparse(&dominant(6, &[0.9, -0.85, 0.1, 0.95]));
    let whole = system(&a).with_aux("coordinates", 2, (0..12).map(f64::from).collect()).unwrap();
    let seen: std::sync::Arc<std::sync::Mutex<Vec<Vec<f64>>>> = std::sync::Arc::default();
    struct Looks(std::sync::Arc<std::sync::Mutex<Vec<Vec<f64>>>>);
    impl precondor_sdk::core::host::Host for Looks {
        fn inner(
            &self,
            _: &str,
            params: &Value,
            system: &System,
        ) -> Result<Box<dyn precondor_sdk::core::instance::Instance>> {
            let aux = system.aux("coordinates").unwrap();
            assert_eq!(aux.width, 2);
            self.0.lock().unwrap().push(aux.values.to_vec());
            use precondor_sdk::core::registry::Native;
            Native::<precondor_plugin_jacobi::Jacobi>::method().generate(params, system)
        }
        fn read(&self, path: &str) -> Result<Vec<u8>> {
            Err(Error::file(path, "no"))
        }
        fn log(&self, _: precondor_sdk::core::host::Level, _: &str) {}
    }
    let hosted = whole.with_host(std::sync::Arc::new(Looks(seen.clone())));
    let params = json!({"stride": 3, "fields": [[0, 2], [1]]});
    crate::dense::generate::<precondor_plugin_composition::Fieldsplit>(params, &hosted).unwrap();
    let expected = [vec![0.0, 1.0, 4.0, 5.0, 6.0, 7.0, 10.0, 11.0], vec![2.0, 3.0, 8.0, 9.0]];
    assert_eq!(*seen.lock().unwrap(), expected);
}
