//! A real library, really loaded.
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::precond::Preconditioner;
use precondor_core::registry::{DynGenerator, Native};
use precondor_core::system::System;
use precondor_host::{Plugins, Search};
use serde_json::json;

fn plugins() -> Plugins {
    Plugins::load(&Search { extra: vec![], base: ".".into() }).expect("a base folder")
}

/// −1, 2 + row, −1 on this rank's rows.
fn laplace(comm: Comm, n: u64) -> System {
    let space = Space::even(comm, n);
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for i in space.start()..space.start() + space.n_own() as u64 {
        for j in i.saturating_sub(1)..(i + 2).min(n) {
            cols.push(j);
            values.push(if i == j { 2.0 + i as f64 } else { -1.0 });
        }
        row_ptr.push(cols.len() as u32);
    }
    System::new(DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("fits"))
}

fn applied(m: &dyn Preconditioner, n: usize) -> Vec<u64> {
    let r: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
    let mut z = vec![f64::NAN; n];
    m.apply(&r, &mut z).expect("applies");
    z.iter().map(|z| z.to_bits()).collect()
}

#[test]
fn loaded_equals_native_bit_for_bit() {
    let plugins = plugins();
    let loaded = plugins.registry().get("jacobi").expect("beside this test");
    assert!(loaded.origin().ends_with("libprecondor_plugin_jacobi.so"), "{}", loaded.origin());
    let native = Native::<precondor_plugin_jacobi::Jacobi>::method();
    assert_eq!(loaded.schema(), native.schema());
    for ranks in 1..=3 {
        threads::run(ranks, |backend| {
            let system = laplace(Comm::new(backend), 7).with_host(plugins.host());
            let params = json!({"damping": 0.7});
            let of = |method: &dyn DynGenerator| {
                let m = method.generate(&params, &system).expect("generates");
                (applied(&*m, system.a().n_own()), m.properties(), m.stored_entries(), m.bytes())
            };
            assert_eq!(of(&**loaded), of(&*native));
        });
    }
}
