//! What the interface asks of every method.
use precondor_plugin_composition::{Composite, Fieldsplit};
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_jacobi::Jacobi;
use precondor_plugin_spai::{Fsai, Spai};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

use precondor_testkit::systems;

fn composite(params: Value) -> precondor_sdk::conformance::Kit<Composite> {
    precondor_sdk::conformance::Kit::new(params)
        .beside::<Jacobi>()
        .beside::<Ic>()
        .beside::<Ilu>()
        .beside::<GaussSeidel>()
        .beside::<Spai>()
}

fn fieldsplit(params: Value) -> precondor_sdk::conformance::Kit<Fieldsplit> {
    precondor_sdk::conformance::Kit::new(params)
        .beside::<Jacobi>()
        .beside::<Ic>()
        .beside::<Ilu>()
        .beside::<Fsai>()
        .beside::<Spai>()
        .beside::<Composite>()
}

/// Stokes on 3 × 3 cells.
fn stokes() -> System {
    System::new(DistCsr::solo(systems::stokes(3, systems::Order::Last).0).expect("square"))
}

precondor_sdk::conformance! {
    one: composite(json!({"methods": ["ic"]}));
    sum: composite(json!({"methods": ["jacobi", {"name": "spai", "symmetrize": true}, "jacobi"]}));
    weighted: composite(json!({"methods": ["jacobi", "ic"], "weights": [0.25, 1.0]}));
    sum_of_unsymmetric: composite(json!({"methods": ["spai", "gauss-seidel"]}));
    product: composite(json!({"kind": "multiplicative", "methods": ["jacobi", "ilu", "spai"]}));
    symmetric: composite(json!({"kind": "symmetric-multiplicative", "weights": [0.5, 1.0, 3.0],
        "methods": ["jacobi", "ic", {"name": "jacobi", "damping": 1.9}]}));
    indefinite: composite(json!({"kind": "symmetric-multiplicative", "weights": [3.0, 1.0],
        "methods": ["jacobi", "jacobi"]}));
    of_unsymmetric: composite(json!({"kind": "symmetric-multiplicative",
        "methods": ["gauss-seidel", "spai"]}));
    blocks: fieldsplit(json!({"kind": "additive", "stride": 7, "fields": [[0, 3], [6, 1], [2, 4, 5]],
        "methods": ["jacobi", "ic", "fsai"]}));
    triangular: fieldsplit(json!({"stride": 7, "methods": ["jacobi"]}));
    ranges: fieldsplit(json!({"ranges": [[20, 49], [0, 20]], "methods": ["spai", "jacobi"]}));
    both_ways: fieldsplit(json!({"kind": "symmetric-multiplicative", "ranges": [[0, 7], [9, 49], [7, 9]],
        "methods": ["ic", "fsai", "jacobi"]}));
    nested: fieldsplit(json!({"kind": "symmetric-multiplicative", "ranges": [[0, 25], [25, 49]],
        "methods": [{"name": "composite", "methods": ["jacobi", "ic"], "weights": [0.1, 0.5]}, "jacobi"]}));
    full: fieldsplit(json!({"kind": "schur", "stride": 7, "fields": [[0, 2, 4, 6], [1, 3, 5]],
        "methods": ["ic", "jacobi"]}));
    lower: fieldsplit(json!({"kind": "schur", "ranges": [[10, 49], [0, 10]], "methods": ["fsai", "jacobi"],
        "factorisation": "lower", "approximation": "lumped"}));
    upper: fieldsplit(json!({"kind": "schur", "ranges": [[0, 40], [40, 49]], "methods": ["spai"],
        "factorisation": "upper", "approximation": "a11"}));
    saddle: fieldsplit(json!({"methods": ["fsai", "jacobi"]})).system(stokes());
    saddle_diag: fieldsplit(json!({"methods": ["fsai"], "factorisation": "diag"})).system(stokes());
    saddle_lower: fieldsplit(json!({"methods": ["spai", "fsai"], "factorisation": "lower"}))
        .system(stokes());
}
