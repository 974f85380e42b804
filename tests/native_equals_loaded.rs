//! Every method gives the same bits whether it is linked in or loaded from its library.
use precondor_core::comm::Comm;
use precondor_core::problem::{Poisson, Problem};
use precondor_core::registry::{DynGenerator, Native, NativeTrainable};
use precondor_core::system::System;
use precondor_host::{Plugins, Search};
use precondor_sdk::conformance::same;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Each method with the level of the problem it is compared on and parameters to compare it with.
fn linked() -> Vec<(Arc<dyn DynGenerator>, u32, Vec<Value>)> {
    use precondor_plugin_amg::Amg;
    use precondor_plugin_auto::auto::Auto;
    use precondor_plugin_cholesky::Cholesky;
    use precondor_plugin_composition::{Composite, Fieldsplit};
    use precondor_plugin_dense::{filter::Filter, inverse::Inverse};
    use precondor_plugin_dense::{mlp::MlpDense, ridge::RidgeInverse};
    use precondor_plugin_gauss_seidel::GaussSeidel;
    use precondor_plugin_ilu::{Ic, Ilu};
    use precondor_plugin_jacobi::Jacobi;
    use precondor_plugin_mlp::{fsai::MlpFsai, reference::MlpReference};
    use precondor_plugin_multigrid::Multigrid;
    use precondor_plugin_reference::{FastPoisson, Reference};
    use precondor_plugin_schwarz::Schwarz;
    use precondor_plugin_spai::{Fsai, Spai};
    vec![
        (Native::<Jacobi>::method(), 4, vec![json!({}), json!({"damping": 0.7})]),
        (Native::<GaussSeidel>::method(), 4, vec![json!({}), json!({"sweep": "symmetric"})]),
        (Native::<Spai>::method(), 4, vec![json!({}), json!({"power": 2, "symmetrize": true})]),
        (
            Native::<Fsai>::method(),
            4,
            vec![json!({}), json!({"power": 2}), json!({"power": 0, "steps": 3})],
        ),
        (Native::<Ilu>::method(), 4, vec![json!({}), json!({"level": 2}), json!({"max_fill": 5})]),
        (Native::<Ic>::method(), 4, vec![json!({})]),
        (
            Native::<Amg>::method(),
            5,
            vec![json!({}), json!({"recipe": "classical"}), json!({"method": "fsai"})],
        ),
        (
            Native::<Schwarz>::method(),
            4,
            vec![json!({}), json!({"method": "ic", "overlap": 2}), json!({"method": "spai"})],
        ),
        (
            Native::<Composite>::method(),
            4,
            vec![
                json!({}),
                json!({"kind": "symmetric-multiplicative", "methods": ["jacobi", "ic"]}),
                json!({"kind": "multiplicative", "methods": ["spai", {"name": "ilu", "level": 1}]}),
            ],
        ),
        (
            Native::<Fieldsplit>::method(),
            4,
            vec![
                // An error with the same words: nothing tells the fields.
                json!({}),
                json!({"stride": 3, "fields": [[0, 2], [1]], "methods": ["ic", "jacobi"]}),
                json!({"kind": "schur", "ranges": [[25, 225], [0, 25]], "methods": ["fsai"]}),
            ],
        ),
        (Native::<FastPoisson>::method(), 4, vec![json!({})]),
        (
            Native::<Reference>::method(),
            4,
            vec![json!({}), json!({"method": "fast-poisson"}), json!({"smoother": "chebyshev"})],
        ),
        (
            Native::<Multigrid>::method(),
            5,
            vec![json!({}), json!({"smoother": "chebyshev"}), json!({"method": "fsai"})],
        ),
        // An error with the same words where it is built without its factorisation.
        (Native::<Cholesky>::method(), 4, vec![json!({})]),
        (Native::<Inverse>::method(), 4, vec![json!({})]),
        (
            Native::<Filter>::method(),
            4,
            vec![json!({}), json!({"keep": 9, "precision": "int8"}), json!({"coarse": [3, 3]})],
        ),
        (
            NativeTrainable::<MlpReference>::method(),
            4,
            vec![json!({}), json!({"variant": "stencil"})],
        ),
        (
            NativeTrainable::<MlpDense>::method(),
            2,
            vec![json!({}), json!({"variant": "plain"}), json!({"newton": 1})],
        ),
        (NativeTrainable::<RidgeInverse>::method(), 3, vec![json!({}), json!({"mean_only": true})]),
        (
            NativeTrainable::<MlpFsai>::method(),
            4,
            vec![json!({}), json!({"check": 10}), json!({"trust": true})],
        ),
        (NativeTrainable::<Auto>::method(), 4, vec![json!({}), json!({"exclude": ["ic"]})]),
    ]
}

fn system(level: u32, plugins: &Plugins) -> System {
    let problem = Problem::Poisson(Poisson::at_level(level));
    let (system, _) = problem.generate(Comm::solo()).expect("a problem");
    system.with_host(plugins.host())
}

#[test]
fn native_equals_loaded_bit_for_bit() {
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() }).expect("plugins");
    assert!(plugins.problems().is_empty(), "{:?}", plugins.problems());
    for (linked, level, cases) in linked() {
        let loaded = plugins.registry().get(linked.name()).expect("loaded");
        assert!(loaded.origin().contains("libprecondor_plugin_"), "{}", loaded.origin());
        for params in cases {
            same(&**loaded, &*linked, &params, &system(level, &plugins));
        }
    }
}

#[test]
fn no_method_is_left_out_above() {
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() }).expect("plugins");
    let loaded: BTreeSet<String> = plugins.registry().iter().map(|m| m.name().to_owned()).collect();
    let linked: BTreeSet<String> = linked().iter().map(|(m, ..)| m.name().to_owned()).collect();
    assert_eq!(loaded, linked);
}
